-- Asks Gatehouse about each request (mod_lua, LuaHookAccessChecker).
-- Whatever goes wrong refuses: 503 when Gatehouse does not answer, 500 on an error here.

local socket = require "socket"

-- A line break in a value would let a caller write header lines of its own.
local function clean(s)
	return s ~= nil and #s <= 16384 and not s:find("[%c]")
end

-- Names by which callers pose as somebody, or make the API do something else than was
-- judged. Compared in lower case.
local prefixes = { "x-gatehouse-", "x-forwarded-", "x-auth-request-", "x-webauth-", "x-original-", "x-http-method" }
local names = {
	["remote-user"] = true, ["x-remote-user"] = true, ["x-user"] = true, ["x-user-id"] = true, ["x-user-name"] = true,
	["x-user-email"] = true, ["x-user-roles"] = true, ["x-rewrite-url"] = true, ["x-method-override"] = true,
	["forwarded"] = true, ["proxy"] = true, ["x-request-id"] = true,
}

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

local passed = { "Authorization", "X-API-Key", "Cookie", "Origin", "Sec-Fetch-Site", "Content-Type", "User-Agent" }

local answers = {
	["x-gatehouse-assertion"] = "X-Gatehouse-Assertion", ["x-gatehouse-subject"] = "X-Gatehouse-Subject",
	["x-gatehouse-username"] = "X-Gatehouse-Username", ["x-gatehouse-roles"] = "X-Gatehouse-Roles",
	["x-gatehouse-scopes"] = "X-Gatehouse-Scopes", ["x-request-id"] = "X-Request-Id",
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
	for _, name in ipairs(passed) do
		local value = r.headers_in[name] -- Apache has joined repeated lines; Gatehouse refuses those
		if value ~= nil then
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
		name = name and name:lower()
		if name == "www-authenticate" then
			challenges[#challenges + 1] = value
		elseif name == "retry-after" then
			r.err_headers_out["Retry-After"] = value
		elseif name and answers[name] and value ~= "" then
			if name == "x-request-id" then
				r.err_headers_out["X-Request-Id"] = value
			end
			if status == 200 then
				r.headers_in[answers[name]] = value
			end
		end
	end
	if status == 200 then
		return apache2.OK
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
