-- Refuses for httpd.conf what proxy and server could read differently. Apache's workers must be able to read this file.
local versions = { ["1.0"] = true, ["1.1"] = true, ["2.0"] = true }

local function is_plain(r)
  local method, target, version = r.the_request:match("^([A-Z][A-Z-]*) ([!-~]+) HTTP/(%d%.%d)$")
  if not method or #method > 32 or not versions[version] or target:find("#", 1, true) then return false end
  if target:sub(1, 1) ~= "/" and not target:lower():find("^https?://[%w._:%[%]-]+/") then return false end
  local headers = r:headers_in_table()
  for name in pairs(headers) do
    if name:find("[^A-Za-z0-9-]") then return false end -- X_Y and X.Y, which some servers take for X-Y
  end
  return headers["Host"] ~= nil and not (version == "1.0" and headers["Transfer-Encoding"])
end

function refuse(r)
  return is_plain(r) and apache2.DECLINED or 400
end
