# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Projects of older releases of MLflow in MySQL: as in SQLite, and as the newest release reads them."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from ansible_collections.mlops.mlflow_aws.tests.parts import bulk, mysql_server, seeds

pytestmark = [
    pytest.mark.timeout(900),
    pytest.mark.thorough("The same content is made, counted and told in SQLite every time."),
]
PASSWORD = "p%41/@:?#&\"'\\ a"


@pytest.fixture(scope="module")
def mysql(mysql_image: str, free_ports: Callable[[int], list[int]]) -> Iterator[mysql_server.Mysql]:
    """Return a real MySQL that stands for Aurora."""
    name = f"mlflow-test-seeds-{secrets.token_hex(4)}"
    options = mysql_server.UNSAFE
    with mysql_server.running(
        mysql_image, name, free_ports(1)[0], password=PASSWORD, options=options
    ) as running:
        yield running


@pytest.mark.parametrize("name", [*seeds.OLDER, seeds.NEWEST])
def test_a_seed_in_mysql(
    name: str,
    mysql: mysql_server.Mysql,
    environment: Callable[..., Path],
    free_ports: Callable[[int], list[int]],
    tmp_path: Path,
) -> None:
    """It has every row, is told alike twice and after an upgrade, and takes more rows."""
    home = tmp_path / "home"
    home.mkdir()
    release, newest = (
        seeds.Release(environment(*seeds.ENVIRONMENTS[each]) / "python", home)
        for each in (name, seeds.NEWEST)
    )
    project = seeds.in_mysql(mysql, name.replace("-", "_").replace(".", "_"), tmp_path)
    with seeds.serving(release, project, free_ports(1)[0]) as url:
        seeds.make(release, url)
        told = seeds.tell(newest, url)
        assert seeds.differences(told, seeds.tell(newest, url)) == []
    counted = seeds.counts(project, mysql)
    assert (counted["metrics"], counted["trace_info"]) == (2_516 - 3 * (name == "mlflow-2.22"), 4)
    assert len(told["runs"]) == counted["runs"]
    seeds.upgrade(newest, project)
    bulk.bulk(project, bulk.Size(runs=12, points=601, spans=45, objects=20), mysql)
    assert seeds.counts(project, mysql)["metrics"] == counted["metrics"] + 601
    with seeds.serving(newest, project, free_ports(1)[0]) as url:
        both = seeds.tell(newest, url)
    own = {experiment["experiment_id"] for experiment in told["experiments"]}
    for part in ("runs", "traces"):
        kept = [one for one in both[part] if own & set(experiments_of(one))]
        assert len(both[part]) > len(kept)
        assert seeds.differences(told[part], kept) == []
    for part in ("models", "prompts", "logged_models", "evaluation_datasets"):
        assert seeds.differences(told[part], both[part]) == []


def experiments_of(one: dict[str, object]) -> list[object]:
    """Return the ID of a run's or a trace's experiment."""
    info = one.get("info")
    return [info["experiment_id"] if isinstance(info, dict) else one["experiment_id"]]
