// npm's token-introspection before a handler, over TLS: node node_server.js '{…}'. Settings as those of flask_server.
// The CA of the service is in NODE_EXTRA_CA_CERTS.
const fs = require('fs');
const https = require('https');

const settings = JSON.parse(process.argv[2]);
const introspection = require(`${settings.modules}/token-introspection`);
const introspect = introspection({
  endpoint: settings.endpoint,
  client_id: settings.client_id,
  client_secret: settings.client_secret,
  fetch: globalThis.fetch,
});
const options = {
  cert: fs.readFileSync(`${settings.folder}/server.pem`),
  key: fs.readFileSync(`${settings.folder}/server.key`),
  requestCert: true,
  rejectUnauthorized: false,
};

async function judge(request) {
  const [scheme, token] = (request.headers.authorization || '').split(' ');
  if (scheme !== 'Bearer' || !token) return 401;
  const claims = await introspect(token, 'access_token').catch(() => null);
  if (claims === null) return 401;
  return (claims.scope || '').split(' ').includes('read') ? 200 : 403;
}

https
  .createServer(options, async (request, response) => {
    response.writeHead(await judge(request), { Connection: 'close' });
    response.end();
  })
  .listen(settings.port, '127.0.0.1', () => console.log(`ready ${settings.port}`));
