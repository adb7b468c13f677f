// A certified OpenID Connect provider, for tests: node provider.js PORT REDIRECT_URI PEOPLE
// PEOPLE is a JSON object of claims by subject; who names a subject is signed in as that.
import { Provider } from 'oidc-provider';

const [port, redirectUri, text] = process.argv.slice(2);
const people = JSON.parse(text);

const provider = new Provider(`http://127.0.0.1:${port}`, {
  clients: [{
    client_id: 'standby-ci',
    client_secret: 'a secret of the test: + and %',
    redirect_uris: [redirectUri],
  }],
  claims: {
    openid: ['sub'],
    profile: ['preferred_username', 'groups'],
    email: ['email', 'email_verified'],
  },
  cookies: { keys: ['of a test'] },
  findAccount: (_, id) => people[id] && {
    accountId: id,
    claims: () => ({ sub: id, ...people[id] }),
  },
  pkce: { required: () => true },
});

provider.listen(Number(port), '127.0.0.1', () => console.log('ready'));
