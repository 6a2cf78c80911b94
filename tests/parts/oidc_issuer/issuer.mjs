// An issuer of OpenID Connect whose people are who they say they are: the email address is the login.
//   node issuer.mjs PORT CLIENT_ID CLIENT_SECRET REDIRECT_URI
import { Provider } from 'oidc-provider';

const [port, id, secret, redirect] = process.argv.slice(2);

const provider = new Provider(`http://localhost:${port}`, {
  clients: [{ client_id: id, client_secret: secret, redirect_uris: [redirect] }],
  claims: { openid: ['sub'], email: ['email', 'email_verified'] },
  cookies: { keys: ['a key for tests'] },
  findAccount: (_context, login) => ({
    accountId: login,
    claims: () => ({ sub: login, email: login, email_verified: !login.startsWith('unverified') }),
  }),
  pkce: { required: () => true },
});

provider.listen(Number(port), '127.0.0.1', () => console.log('ready'));
