// oauth4webapi (npm) as tests drive it: one JSON request a line on standard input, one JSON answer a line.
// Settings as for openid_client.mjs: issuer, ca, certificate (PEM with its key), modules.
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';

const settings = JSON.parse(process.argv[2]);
const oauth = await import(`${settings.modules}/oauth4webapi/build/index.js`);
const { Agent, fetch } = await import(`${settings.modules}/undici/index.js`).then((module) => module.default);

const pem = readFileSync(settings.certificate);
const dispatcher = new Agent({ connect: { ca: readFileSync(settings.ca), cert: pem, key: pem } });
const overMutualTls = (url, options) => fetch(url, { ...options, dispatcher });
const custom = { [oauth.customFetch]: overMutualTls };
const issuer = new URL(settings.issuer);
const found = await oauth.discoveryRequest(issuer, { algorithm: 'oauth2', ...custom });
const server = await oauth.processDiscoveryResponse(issuer, found);
const known = new Map();

async function authentication({ secret, method, key }) {
  if (key) {
    const curve = { name: 'ECDSA', namedCurve: key.crv };
    const imported = await crypto.subtle.importKey('jwk', key, curve, false, ['sign']);
    return oauth.PrivateKeyJwt({ key: imported, kid: key.kid });
  }
  if (method === 'tls') return oauth.TlsClientAuth();
  if (method === 'none') return oauth.None();
  return method === 'post' ? oauth.ClientSecretPost(secret) : oauth.ClientSecretBasic(secret);
}

async function party(as) {
  const name = JSON.stringify(as);
  if (!known.has(name)) {
    const client = { client_id: as.client_id, use_mtls_endpoint_aliases: true };
    const options = { ...custom };
    if (as.dpop) options.DPoP = oauth.DPoP(client, await oauth.generateKeyPair(as.dpop));
    known.set(name, { client, options, auth: await authentication(as) });
  }
  return known.get(name);
}

// A nonce that the service demands is used in a second request (RFC 9449 8).
async function asked(request, process) {
  try {
    return await process(await request());
  } catch (error) {
    if (!oauth.isDPoPNonceError(error)) throw error;
    return process(await request());
  }
}

const pending = new Map();
const steps = {
  metadata: () => server,
  client_credentials: ({ client, auth, options }, { form }) =>
    asked(
      () => oauth.clientCredentialsGrantRequest(server, client, auth, new URLSearchParams(form), options),
      (response) => oauth.processClientCredentialsResponse(server, client, response),
    ),
  refresh: ({ client, auth, options }, { token, form }) =>
    asked(
      () => oauth.refreshTokenGrantRequest(server, client, auth, token, { additionalParameters: form, ...options }),
      (response) => oauth.processRefreshTokenResponse(server, client, response),
    ),
  grant: ({ client, auth, options }, { type, form }) =>
    asked(
      () => oauth.genericTokenEndpointRequest(server, client, auth, type, new URLSearchParams(form), options),
      (response) => oauth.processGenericTokenEndpointResponse(server, client, response),
    ),
  introspect: async ({ client, auth }, { token, form }) => {
    const options = { additionalParameters: form, ...custom };
    const response = await oauth.introspectionRequest(server, client, auth, token, options);
    return oauth.processIntrospectionResponse(server, client, response);
  },
  revoke: async ({ client, auth }, { token }) => {
    await oauth.processRevocationResponse(await oauth.revocationRequest(server, client, auth, token, custom));
    return {};
  },
  authorize: async ({ client, auth, options }, { form, pushed }) => {
    const verifier = oauth.generateRandomCodeVerifier();
    const state = oauth.generateRandomState();
    pending.set(state, { verifier, redirect: form.redirect_uri });
    let parameters = new URLSearchParams({
      ...form, state, client_id: client.client_id, response_type: 'code', code_challenge_method: 'S256',
      code_challenge: await oauth.calculatePKCECodeChallenge(verifier),
    });
    if (pushed) {
      const made = await asked(
        () => oauth.pushedAuthorizationRequest(server, client, auth, parameters, options),
        (response) => oauth.processPushedAuthorizationResponse(server, client, response),
      );
      parameters = new URLSearchParams({ client_id: client.client_id, request_uri: made.request_uri });
    }
    return { url: `${server.authorization_endpoint}?${parameters}` };
  },
  code: ({ client, auth, options }, { callback, form }) => {
    const url = new URL(callback);
    const state = url.searchParams.get('state');
    const { verifier, redirect } = pending.get(state);
    const code = oauth.validateAuthResponse(server, client, url, state);
    const more = { additionalParameters: form, ...options };
    return asked(
      () => oauth.authorizationCodeGrantRequest(server, client, auth, code, redirect, verifier, more),
      (response) => oauth.processAuthorizationCodeResponse(server, client, response),
    );
  },
  device: async ({ client, auth }, { form }) => {
    const response = await oauth.deviceAuthorizationRequest(server, client, auth, new URLSearchParams(form), custom);
    return oauth.processDeviceAuthorizationResponse(server, client, response);
  },
  device_token: ({ client, auth, options }, { device }) =>
    asked(
      () => oauth.deviceCodeGrantRequest(server, client, auth, device.device_code, options),
      (response) => oauth.processDeviceCodeResponse(server, client, response),
    ),
  register: async (_, { metadata, token }) => {
    const options = { initialAccessToken: token, ...custom };
    const response = await oauth.dynamicClientRegistrationRequest(server, metadata, options);
    return oauth.processDynamicClientRegistrationResponse(response);
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const { step, as, ...more } = JSON.parse(line);
  let answer;
  try {
    answer = await steps[step](as ? await party(as) : undefined, more);
  } catch (error) {
    answer = { failed: error.error ?? error.code ?? error.name, why: `${error.message} ${error.cause ?? ''}` };
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
