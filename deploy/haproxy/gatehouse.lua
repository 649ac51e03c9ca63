-- Asks Gatehouse about the request in hand and leaves the answer in txn.gatehouse_*.
-- Whatever goes wrong leaves txn.gatehouse_status unset, which gatehouse.cfg takes for a refusal.

local host = os.getenv("GATEHOUSE_HOST") or "127.0.0.1"
local port = tonumber(os.getenv("GATEHOUSE_PORT") or "8081")

-- Request lines that Gatehouse may need: credentials, and what decisions look at.
local passed = { "authorization", "x-api-key", "cookie", "origin", "sec-fetch-site", "content-type", "user-agent",
	"x-http-method-override", "dpop", "signature", "signature-input" }

-- A line break in a value would let a caller write header lines of its own.
local function clean(s)
	return s ~= nil and #s <= 16384 and not s:find("[%c]")
end

local function ask(txn)
	local method, target = txn.sf:method(), txn.sf:pathq()
	local headers = txn.http:req_get_headers()
	local hosts = headers["host"]
	if not (clean(method) and clean(target)) or hosts == nil or hosts[1] ~= nil or not clean(hosts[0]) then
		return
	end
	local lines = {
		"GET /.gatehouse/auth/haproxy HTTP/1.0",
		"Host: gatehouse",
		"X-Original-Method: " .. method,
		"X-Original-Uri: " .. target,
		"X-Original-Host: " .. hosts[0],
		"X-Forwarded-For: " .. txn.sf:src(),
		"X-Forwarded-Proto: " .. (txn.sf:ssl_fc() == 1 and "https" or "http"),
	}
	for _, name in ipairs(passed) do
		local values = headers[name]
		local i = 0
		while values ~= nil and values[i] ~= nil do -- every one: a second credential must be seen
			if not clean(values[i]) then
				return
			end
			lines[#lines + 1] = name .. ": " .. values[i]
			i = i + 1
		end
	end

	local socket = core.tcp()
	socket:settimeout(5)
	if not socket:connect(host, port) then
		return
	end
	socket:send(table.concat(lines, "\r\n") .. "\r\n\r\n")
	local answer = socket:receive("*a")
	socket:close()
	if answer == nil or #answer > 65536 then
		return
	end
	local head, body = answer:match("^(.-)\r\n\r\n(.*)$")
	local status = head and head:match("^HTTP/1%.[01] (%d%d%d)")
	if status == nil then
		return
	end

	local names = {
		["x-gatehouse-assertion"] = "assertion", ["x-gatehouse-subject"] = "subject", ["x-gatehouse-username"] = "username",
		["x-gatehouse-roles"] = "roles", ["x-gatehouse-scopes"] = "scopes", ["x-request-id"] = "id", ["retry-after"] = "retry",
	}
	local challenges = {}
	for line in head:gmatch("\r\n([^\r\n]+)") do
		local name, value = line:match("^([^:]+):%s*(.-)%s*$")
		name = name and name:lower()
		if name == "www-authenticate" then
			challenges[#challenges + 1] = value
		elseif name and names[name] and value ~= "" then
			txn:set_var("txn.gatehouse_" .. names[name], value)
		end
	end
	txn:set_var("txn.gatehouse_challenge", table.concat(challenges, ", "))
	txn:set_var("txn.gatehouse_body", body)
	txn:set_var("txn.gatehouse_status", tonumber(status))
end

core.register_action("gatehouse", { "http-req" }, function(txn)
	local ok = pcall(ask, txn)
	if not ok then
		txn:unset_var("txn.gatehouse_status")
	end
end, 0)
