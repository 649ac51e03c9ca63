package counters

import "time"

// gcra counts one event if that leaves no more owed than the tolerance, and returns whether
// it did and what is owed then, in nanoseconds. A count is two numbers: a time of this server
// in microseconds, and what was owed at it. It ends by itself once nothing is owed. Numbers
// are written with all their digits: Lua writes fourteen.
//
// Nobody owes less than who asks knows: a server that lost its counts, or dropped some to make
// room, has nobody begin anew.
//
// What is owed after a time of the future counts from now on: the clock was set back. More
// than the tolerance was owed by another rate; by this one nobody can owe it.
const gcra = `
local t = redis.call('TIME')
local now = t[1] * 1000000 + t[2]
local interval, tolerance, floor = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local owed, write = 0, false
local held = redis.call('GET', KEYS[1])
if held then
  local at, was = string.match(held, '^(%d+) (%d+)$')
  if at then
    local gone = now - at
    if gone < 0 then gone, write = 0, true end
    owed = math.max(0, was - gone * 1000)
  end
end
if owed < floor then owed, write = floor, true end
if owed > tolerance then owed, write = tolerance, true end
local allowed = owed + interval <= tolerance
if allowed then owed, write = owed + interval, true end
if write then
  redis.call('SET', KEYS[1], string.format('%.0f %.0f', now, owed), 'PX', string.format('%.0f', math.ceil(owed / 1000000) + 1))
end
return {allowed and 1 or 0, owed}
`

// GCRA asks whether one more event of id may happen now within scope, where each costs
// interval and at most tolerance may be owed, and counts it if so; floor is what is owed at
// least, by what is known. A refused event costs nothing. owed is what is owed then. Without known the server is away, or did not answer in
// time: nothing is known but that.
func (s *Server) GCRA(scope, id string, interval, tolerance, floor time.Duration) (owed time.Duration, allowed, known bool) {
	answer, known := s.ask(s.gcra, []string{s.name(scope, "", id, "")}, func(answer []int64) bool {
		return len(answer) == 2 && answer[1] >= 0 && time.Duration(answer[1]) <= tolerance
	}, int64(interval), int64(tolerance), int64(floor))
	if !known {
		return 0, false, false
	}
	return time.Duration(answer[1]), answer[0] == 1, true
}
