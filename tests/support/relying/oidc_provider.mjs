// npm's oidc-provider over TLS, with its own pages of login and consent: node oidc_provider.mjs '{…}'.
// Any name logs in; the person of that name has the e-mail address NAME@example.com.
import { createPrivateKey, generateKeyPairSync, randomBytes } from 'node:crypto';
import fs from 'node:fs';
import https from 'node:https';

const settings = JSON.parse(process.argv[2]);
const { Provider } = await import(`${settings.modules}/oidc-provider/lib/index.js`);
// By way of PEM: Node 20 exports a key under a lock that the garbage of its own generation takes, too, and then
// waits for itself without end.
const encodings = { privateKeyEncoding: { type: 'pkcs8', format: 'pem' }, publicKeyEncoding: { type: 'spki', format: 'pem' } };
const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048, ...encodings });
const jwk = createPrivateKey(privateKey).export({ format: 'jwk' });
const provider = new Provider(settings.issuer, {
  clients: [
    {
      client_id: settings.client_id,
      client_secret: settings.client_secret,
      redirect_uris: [settings.redirect_uri],
      grant_types: ['authorization_code'],
      response_types: ['code'],
    },
  ],
  claims: { openid: ['sub'], email: ['email', 'email_verified'], profile: ['name'] },
  conformIdTokenClaims: false,
  cookies: { keys: [randomBytes(32).toString('hex')] },
  jwks: { keys: [{ ...jwk, use: 'sig', alg: 'RS256', kid: 'one' }] },
  findAccount: (_, id) => ({
    accountId: id,
    claims: () => ({ sub: id, name: `${id} of Node`, email: `${id}@example.com`, email_verified: true }),
  }),
});
const options = {
  cert: fs.readFileSync(`${settings.folder}/server.pem`),
  key: fs.readFileSync(`${settings.folder}/server.key`),
};
https
  .createServer(options, provider.callback())
  .listen(settings.port, '127.0.0.1', () => console.log(`ready ${settings.port}`));
