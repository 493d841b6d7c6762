-- Refuses for httpd.conf what proxy and server could read differently. Apache's workers must be able to read this file.
local families = { {% for prefix in prefixes %}"{{ prefix | replace("-", "%-") }}"{{ ", " if not loop.last }}{% endfor %} }
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

-- Removes what begins like a header that servers believe; httpd.conf removes those with a name.
local function remove_families(r)
  for name in pairs(r:headers_in_table()) do
    for _, family in ipairs(families) do
      if name:lower():find("^" .. family) then r.headers_in[name] = nil end
    end
  end
end

function refuse(r)
  if not is_plain(r) then return 400 end
  remove_families(r)
  return apache2.DECLINED
end
