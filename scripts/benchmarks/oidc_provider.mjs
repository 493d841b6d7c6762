// npm's oidc-provider with its memory adapter, for the benchmark: certificate-bound ES256 JWTs over mutual TLS.
// node oidc_provider.mjs '{folder, port, modules, secret, families, format}': prints one JSON line with refresh tokens
// when ready. `format` of access tokens is jwt, or opaque, for the library introspects no JWT.
import { createPrivateKey, generateKeyPairSync, randomBytes, X509Certificate } from 'node:crypto';
import fs from 'node:fs';
import https from 'node:https';

console.info = console.warn; // the library's notices would come before that line

const settings = JSON.parse(process.argv[2]);
const { Provider } = await import(`${settings.modules}/oidc-provider/lib/index.js`);
// By way of PEM: Node 20 exports a key under a lock that the garbage of its own generation takes, too, and then
// waits for itself without end.
const encodings = { privateKeyEncoding: { type: 'pkcs8', format: 'pem' }, publicKeyEncoding: { type: 'spki', format: 'pem' } };
const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256', ...encodings });
const jwk = createPrivateKey(privateKey).export({ format: 'jwk' });
const issuer = `https://localhost:${settings.port}`;
const API = 'https://api.example';
const provider = new Provider(issuer, {
  clients: [
    {
      client_id: 'load',
      client_secret: settings.secret,
      grant_types: ['client_credentials', 'refresh_token', 'authorization_code'],
      redirect_uris: ['https://app.example/back'],
      response_types: ['code'],
      id_token_signed_response_alg: 'ES256',
      tls_client_certificate_bound_access_tokens: true,
    },
    {
      client_id: 'api',
      client_secret: settings.secret,
      grant_types: [],
      id_token_signed_response_alg: 'ES256',
      redirect_uris: [],
      response_types: [],
    },
  ],
  clientBasedCORS: () => false,
  cookies: { keys: [randomBytes(32).toString('hex')] },
  features: {
    clientCredentials: { enabled: true },
    devInteractions: { enabled: false },
    introspection: { enabled: true },
    mTLS: {
      enabled: true,
      certificateBoundAccessTokens: true,
      getCertificate: (ctx) => new X509Certificate(ctx.req.socket.getPeerCertificate(true).raw).toString(),
    },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => API,
      getResourceServerInfo: () => ({
        scope: 'read', audience: API, accessTokenFormat: settings.format, accessTokenTTL: 600,
        jwt: { sign: { alg: 'ES256' } },
      }),
      useGrantedResource: () => true,
    },
  },
  findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
  jwks: { keys: [{ ...jwk, use: 'sig', alg: 'ES256', kid: 'one' }] },
  rotateRefreshToken: true,
  scopes: ['openid', 'offline_access', 'read'],
  ttl: { AccessToken: 600, ClientCredentials: 600, Grant: 86400, RefreshToken: 86400 },
});

async function family() {
  const client = await provider.Client.find('load');
  const grant = new provider.Grant({ accountId: 'alice', clientId: 'load' });
  grant.addOIDCScope('openid offline_access');
  grant.addResourceScope(API, 'read');
  const token = new provider.RefreshToken({
    accountId: 'alice', client, grantId: await grant.save(), gty: 'authorization_code',
    scope: 'offline_access read', resource: API, rotations: 0,
  });
  return token.save();
}

const options = {
  cert: fs.readFileSync(`${settings.folder}/server.pem`),
  key: fs.readFileSync(`${settings.folder}/server.key`),
  requestCert: true,
  rejectUnauthorized: false,
};
const families = [];
for (let made = 0; made < settings.families; made += 1) families.push(await family());
https.createServer(options, provider.callback()).listen(settings.port, '127.0.0.1', () => {
  console.log(JSON.stringify(families));
});
