-- Asks Gatehouse about each request (mod_lua, LuaHookAccessChecker).
-- Whatever goes wrong refuses: 503 when Gatehouse does not answer, 500 on an error here.

local socket = require "socket"

-- A line break in a value would let a caller write header lines of its own.
local function clean(s)
	return s ~= nil and #s <= 16384 and not s:find("[%z\r\n]")
end

-- Names by which callers pose as somebody, or make the API do something else than was
-- judged. Compared in lower case. What is in no list here goes to Gatehouse as it is, which
-- refuses the request for it ("header_name_reserved").
local prefixes = {
	"x-gatehouse-", "x-auth-request-", "x-webauth-", "x-authentik-", "x-goog-authenticated-user-",
	"x-ms-client-principal", "x-ms-token-", "x-amzn-oidc-", "cf-access-", "x-pomerium-", "tailscale-user-",
	"x-ssl-client-", "ssl-client-", "x-forwarded",
}
local names = {}
for _, name in ipairs({
	"remote-user", "remote-name", "remote-email", "remote-groups", "remote-addr", "x-remote-user",
	"x-remote-group", "x-remote-groups", "x-remote-addr", "x-remote-ip", "x-user", "x-user-id", "x-user-name",
	"x-username", "x-user-email", "x-user-role", "x-user-roles", "x-user-groups", "x-userid", "x-email",
	"x-groups", "x-roles", "x-auth-user", "x-auth-username", "x-auth-email", "x-auth-groups", "x-auth-roles",
	"x-authenticated-user", "x-authenticated-userid", "x-authenticated-scope", "x-authenticated-groups",
	"x-consumer-id", "x-consumer-username", "x-consumer-custom-id", "x-credential-identifier",
	"x-anonymous-consumer", "x-original-user", "x-proxy-user", "x-sso-user", "x-subject", "x-client-cert",
	"x-client-dn", "x-client-verify", "x-client-ip", "x-cluster-client-ip", "client-cert", "client-cert-chain",
	"x-real-ip", "true-client-ip", "forwarded", "x-original-url", "x-original-uri", "x-original-method",
	"x-original-host", "x-rewrite-url", "x-host", "x-accel-redirect", "x-sendfile", "proxy", "x-request-id",
}) do
	names[name] = true
end

local function spoofed(name)
	if name:find("[^%w-]") then -- a name that CGI-like programs fold into another
		return true
	end
	name = name:lower()
	if names[name] then
		return true
	end
	for _, p in ipairs(prefixes) do
		if name:sub(1, #p) == p then
			return true
		end
	end
	return false
end

-- Lines that belong to the caller's connection or body, or that the question itself has.
-- Every other one is told: only Gatehouse knows which of them a decision looks at.
local own = {
	["host"] = true, ["connection"] = true, ["keep-alive"] = true, ["proxy-connection"] = true, ["te"] = true,
	["trailer"] = true, ["transfer-encoding"] = true, ["content-length"] = true, ["expect"] = true,
}

-- What Gatehouse says to the API about a request that may pass.
local says = {
	["x-gatehouse-assertion"] = "X-Gatehouse-Assertion", ["x-gatehouse-subject"] = "X-Gatehouse-Subject",
	["x-gatehouse-username"] = "X-Gatehouse-Username", ["x-gatehouse-roles"] = "X-Gatehouse-Roles",
	["x-gatehouse-scopes"] = "X-Gatehouse-Scopes", ["x-request-id"] = "X-Request-Id",
}

-- What it says to the caller, whatever the answer is.
local told = {
	["x-request-id"] = true, ["retry-after"] = true, ["ratelimit"] = true, ["ratelimit-policy"] = true, ["vary"] = true,
	["access-control-allow-origin"] = true, ["access-control-allow-credentials"] = true, ["access-control-allow-methods"] = true,
	["access-control-allow-headers"] = true, ["access-control-expose-headers"] = true, ["access-control-max-age"] = true,
}

local function question(r)
	local method, target, host = r.method, r.unparsed_uri, r.headers_in["Host"]
	if not (clean(method) and clean(target) and clean(host)) or target:sub(1, 1) ~= "/" then
		return nil
	end
	local lines = {
		"GET /.gatehouse/auth/apache HTTP/1.0",
		"Host: gatehouse",
		"X-Original-Method: " .. method,
		"X-Original-Uri: " .. target,
		"X-Original-Host: " .. host,
		"X-Forwarded-For: " .. r.useragent_ip,
		"X-Forwarded-Proto: " .. (r.is_https and "https" or "http"),
	}
	for name, value in pairs(r:headers_in_table()) do -- Apache has joined repeated lines; Gatehouse refuses those
		if not own[name:lower()] then
			if not clean(value) then
				return nil
			end
			lines[#lines + 1] = name .. ": " .. value
		end
	end
	return table.concat(lines, "\r\n") .. "\r\n\r\n"
end

local function ask(r, text)
	local env = r.subprocess_env
	local s = socket.tcp()
	s:settimeout(5)
	if not s:connect(env["GATEHOUSE_HOST"] or "127.0.0.1", tonumber(env["GATEHOUSE_PORT"] or "8081")) then
		s:close()
		return nil
	end
	s:send(text)
	local answer = s:receive("*a")
	s:close()
	if answer == nil or #answer > 65536 then
		return nil
	end
	return answer:match("^HTTP/1%.[01] (%d%d%d)(.-)\r\n\r\n(.*)$")
end

function check(r)
	local found = {}
	for name in pairs(r:headers_in_table()) do
		if spoofed(name) then
			found[#found + 1] = name
		end
	end
	for _, name in ipairs(found) do
		r.headers_in[name] = nil
	end
	-- Only WebSocket upgrades pass.
	local upgrade = r.headers_in["Upgrade"]
	if upgrade ~= nil and upgrade:lower() ~= "websocket" then
		r.headers_in["Upgrade"] = nil
	end

	local text = question(r)
	if text == nil then
		return 400
	end
	local status, head, body = ask(r, text)
	status = tonumber(status)
	if status == nil then
		return 503
	end
	local challenges = {}
	for line in head:gmatch("\r\n([^\r\n]+)") do
		local name, value = line:match("^([^:]+):%s*(.-)%s*$")
		local lower = name and name:lower()
		if lower == "www-authenticate" then
			challenges[#challenges + 1] = value
		elseif lower and value ~= "" then
			if told[lower] then
				r.err_headers_out[name] = value
			end
			if status == 200 and says[lower] then
				r.headers_in[says[lower]] = value
			end
			if lower == "vary" or lower == "access-control-allow-origin" then
				r.subprocess_env["GATEHOUSE_CORS"] = "1" -- the route has a rule: the API's own lines go
			end
		end
	end
	if status == 200 then
		return apache2.OK
	end
	if status == 204 then -- a preflight, answered
		r.err_headers_out["Cache-Control"] = "no-store"
		return 204
	end
	if status < 400 or status > 599 then
		return 503
	end
	if #challenges > 0 then
		r.err_headers_out["WWW-Authenticate"] = table.concat(challenges, ", ")
	end
	r.err_headers_out["Cache-Control"] = "no-store"
	r:custom_response(status, body)
	return status
end
