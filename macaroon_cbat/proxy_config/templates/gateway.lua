-- Asks the gateway about a request; haproxy.cfg acts on the answer.
local function header(message, name)
  local values = message[name]
  return values and values[0]
end

local function every(message, name)
  local values, found = message[name], {}
  for at = 0, values and #values or -1 do found[#found + 1] = values[at] end
  return found
end

core.register_action("ask_gateway", { "http-req" }, function(txn)
  txn:set_var("txn.status", 503)
  local sent = txn.http:req_get_headers()
  local asked = {
    ["authorization"] = { header(sent, "authorization") },
{% for header in credential_headers %}
    ["{{ header | lower }}"] = every(sent, "{{ header | lower }}"),
{% endfor %}
    ["{{ header | lower }}"] = { header(sent, "{{ header | lower }}") },
{% if secret %}
    ["proxysecret"] = { "{{ secret }}" },
{% endif %}
    ["x-forwarded-method"] = { txn.sf:method() },
    ["x-forwarded-uri"] = { txn.sf:pathq() },
    ["x-forwarded-for"] = { txn.sf:src() },
  }
  local answer = core.httpclient():get{ url = "http://{{ "gateway" if gateway.path else gateway }}/", {% if gateway.path %}dst = "{{ gateway | haproxy }}", {% endif %}headers = asked, timeout = 2000 } -- milliseconds, of each of four attempts
  if not answer then return end
  txn:set_var("txn.status", answer.status or 503)
  txn:set_var("txn.challenge", header(answer.headers, "www-authenticate") or "Bearer")
  local nonce = header(answer.headers, "dpop-nonce")
  if nonce then txn:set_var("txn.nonce", nonce) end
{% for principal in principal_headers %}
  txn:set_var("txn.{{ principal | lower }}", header(answer.headers, "{{ principal | lower }}") or "")
{% endfor %}
end, 0)
