// openid-client (npm) as tests drive it: one JSON request a line on standard input, one JSON answer a line.
// Settings as for oauth4webapi.mjs: issuer, ca, certificate (PEM with its key), modules.
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';

const settings = JSON.parse(process.argv[2]);
const client = await import(`${settings.modules}/openid-client/build/index.js`);
const { Agent, fetch } = await import(`${settings.modules}/undici/index.js`).then((module) => module.default);

const pem = readFileSync(settings.certificate);
const dispatcher = new Agent({ connect: { ca: readFileSync(settings.ca), cert: pem, key: pem } });
const overMutualTls = (url, options) => fetch(url, { ...options, dispatcher });
const known = new Map();

async function authentication({ secret, method, key }) {
  if (key) {
    const curve = { name: 'ECDSA', namedCurve: key.crv };
    const imported = await crypto.subtle.importKey('jwk', key, curve, false, ['sign']);
    return client.PrivateKeyJwt({ key: imported, kid: key.kid });
  }
  if (method === 'tls') return client.TlsClientAuth();
  if (method === 'none') return client.None();
  return method === 'post' ? client.ClientSecretPost(secret) : client.ClientSecretBasic(secret);
}

async function configuration({ client_id, secret, method, dpop, key }) {
  const name = JSON.stringify([client_id, secret, method, dpop, key]);
  if (!known.has(name)) {
    const metadata = { use_mtls_endpoint_aliases: true };
    const options = { algorithm: 'oauth2', [client.customFetch]: overMutualTls };
    const found = await client.discovery(
      new URL(settings.issuer), client_id, metadata, await authentication({ secret, method, key }), options,
    );
    found[client.customFetch] = overMutualTls;
    const keys = dpop ? await client.randomDPoPKeyPair(dpop) : undefined;
    known.set(name, { config: found, options: keys && { DPoP: client.getDPoPHandle(found, keys) } });
  }
  return known.get(name);
}

const pending = new Map();
const steps = {
  metadata: ({ config }) => config.serverMetadata(),
  client_credentials: ({ config, options }, { form }) => client.clientCredentialsGrant(config, form, options),
  refresh: ({ config, options }, { token, form }) => client.refreshTokenGrant(config, token, form, options),
  grant: ({ config, options }, { type, form }) => client.genericGrantRequest(config, type, form, options),
  introspect: ({ config }, { token, form }) => client.tokenIntrospection(config, token, form),
  revoke: async ({ config }, { token }) => {
    await client.tokenRevocation(config, token);
    return {};
  },
  authorize: async ({ config, options }, { form, pushed }) => {
    const verifier = client.randomPKCECodeVerifier();
    const state = client.randomState();
    const asked = {
      ...form, state, code_challenge: await client.calculatePKCECodeChallenge(verifier), code_challenge_method: 'S256',
    };
    pending.set(state, verifier);
    const url = pushed
      ? await client.buildAuthorizationUrlWithPAR(config, asked, options)
      : client.buildAuthorizationUrl(config, asked);
    return { url: url.href };
  },
  code: ({ config, options }, { callback, form }) => {
    const url = new URL(callback);
    const state = url.searchParams.get('state');
    const checks = { pkceCodeVerifier: pending.get(state), expectedState: state };
    return client.authorizationCodeGrant(config, url, checks, form, options);
  },
  device: ({ config }, { form }) => client.initiateDeviceAuthorization(config, form),
  device_token: ({ config, options }, { device }) =>
    client.pollDeviceAuthorizationGrant(config, device, undefined, options),
  register: async (_, { metadata, token }) => {
    const options = { algorithm: 'oauth2', initialAccessToken: token, [client.customFetch]: overMutualTls };
    const made = await client.dynamicClientRegistration(new URL(settings.issuer), metadata, undefined, options);
    return made.clientMetadata();
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const { step, as, ...asked } = JSON.parse(line);
  let answer;
  try {
    answer = await steps[step](step === 'register' ? undefined : await configuration(as), asked);
  } catch (error) {
    answer = { failed: error.error ?? error.code ?? error.name, why: `${error.message} ${error.cause ?? ''}` };
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
