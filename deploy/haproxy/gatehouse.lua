-- Asks Gatehouse about the request in hand. When it may pass, what Gatehouse says is left in
-- txn.gatehouse_*; any other answer goes to the caller as it is. Whatever goes wrong leaves
-- txn.gatehouse_status unset, which gatehouse.cfg takes for a refusal.

local host = os.getenv("GATEHOUSE_HOST") or "127.0.0.1"
local port = tonumber(os.getenv("GATEHOUSE_PORT") or "8081")

-- Lines that belong to the caller's connection or body, or that the question itself has.
-- Every other one is told: only Gatehouse knows which of them a decision looks at.
local own = {
	["host"] = true, ["connection"] = true, ["keep-alive"] = true, ["proxy-connection"] = true, ["te"] = true,
	["trailer"] = true, ["transfer-encoding"] = true, ["content-length"] = true, ["expect"] = true,
	["x-forwarded-for"] = true, ["x-forwarded-proto"] = true,
}

-- What Gatehouse says about a request that may pass.
local says = {
	["x-gatehouse-assertion"] = "assertion", ["x-gatehouse-subject"] = "subject", ["x-gatehouse-username"] = "username",
	["x-gatehouse-roles"] = "roles", ["x-gatehouse-scopes"] = "scopes", ["x-request-id"] = "id",
	["ratelimit"] = "limit", ["ratelimit-policy"] = "limit_policy", ["vary"] = "vary",
	["access-control-allow-origin"] = "allow_origin", ["access-control-allow-credentials"] = "allow_credentials",
	["access-control-expose-headers"] = "expose",
}

-- Lines of an answer that belong to this connection and not to the caller's.
local ours = { ["connection"] = true, ["keep-alive"] = true, ["content-length"] = true, ["transfer-encoding"] = true, ["date"] = true }

-- A line break in a value would let a caller write header lines of its own.
local function clean(s)
	return s ~= nil and #s <= 16384 and not s:find("[%z\r\n]")
end

local function question(txn)
	local method, target = txn.sf:method(), txn.sf:pathq()
	local headers = txn.http:req_get_headers()
	local hosts = headers["host"]
	if not (clean(method) and clean(target)) or hosts == nil or hosts[1] ~= nil or not clean(hosts[0]) then
		return nil
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
	for name, values in pairs(headers) do
		local i = 0
		while not own[name] and values[i] ~= nil do -- every one: a second credential must be seen
			if not clean(values[i]) then
				return nil
			end
			lines[#lines + 1] = name .. ": " .. values[i]
			i = i + 1
		end
	end
	return table.concat(lines, "\r\n") .. "\r\n\r\n"
end

-- answer is the reply for the caller, or nil when the request may pass.
local function answer(txn)
	local text = question(txn)
	if text == nil then
		return nil
	end
	local socket = core.tcp()
	socket:settimeout(5)
	if not socket:connect(host, port) then
		return nil
	end
	socket:send(text)
	local got = socket:receive("*a")
	socket:close()
	if got == nil or #got > 65536 then
		return nil
	end
	local head, body = got:match("^(.-)\r\n\r\n(.*)$")
	local status = head and tonumber(head:match("^HTTP/1%.[01] (%d%d%d)"))
	-- 204 answers a preflight. Nothing else below 400 is a refusal.
	if status == nil or status ~= 200 and status ~= 204 and (status < 400 or status > 599) then
		return nil
	end
	local reply = txn:reply({ status = status, body = status ~= 204 and body or nil })
	for line in head:gmatch("\r\n([^\r\n]+)") do
		local name, value = line:match("^([^:]+):%s*(.-)%s*$")
		local lower = name and name:lower()
		if status == 200 and says[lower] and value ~= "" then
			txn:set_var("txn.gatehouse_" .. says[lower], value)
		elseif lower and not ours[lower] then
			reply:add_header(name, value)
		end
	end
	if status == 200 then
		txn:set_var("txn.gatehouse_status", 200)
		return nil
	end
	return reply
end

core.register_action("gatehouse", { "http-req" }, function(txn)
	local ok, reply = pcall(answer, txn)
	if not ok then
		txn:unset_var("txn.gatehouse_status")
	elseif reply ~= nil then
		txn:done(reply)
	end
end, 0)
