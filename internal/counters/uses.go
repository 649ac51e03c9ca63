package counters

import "time"

// uses counts one use in each of some periods, if each has one left, and returns whether it
// did and what each holds then. A count is a number of uses, and a time of this server in
// milliseconds until which it may lack some.
//
// A count is never below the floor that somebody brings: a server that lost its counts, or has
// old ones, gives nobody a quota anew. Who let pass uses that this server was not told of
// says so (lacks): until all have brought them as floors, nobody gets more than a share.
const uses = `
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local settle, lacks, share = tonumber(ARGV[1]), ARGV[2] == '1', ARGV[3] == '1'
local verdict, counts, settled = 1, {}, {}
for i, name in ipairs(KEYS) do
  local n, at = string.match(redis.call('GET', name) or '', '^(%d+) (%d+)$')
  counts[i] = math.max(math.min(tonumber(n) or 0, 2 ^ 53), tonumber(ARGV[3 * i + 1]))
  settled[i] = math.min(tonumber(at) or 0, now + settle)
  if lacks then settled[i] = now + settle end
  if counts[i] >= tonumber(ARGV[3 * i + 2]) then
    verdict = 0
  elseif verdict == 1 and now < settled[i] and not share then
    verdict = 2
  end
end
local answer = {verdict}
for i, name in ipairs(KEYS) do
  if verdict == 1 then counts[i] = counts[i] + 1 end
  redis.call('SET', name, string.format('%.0f %.0f', counts[i], settled[i]), 'PX', ARGV[3 * i + 3])
  answer[i + 1] = counts[i]
end
return answer
`

// Verdict on a use.
type Verdict int

const (
	// UsedUp: a period has no use left.
	UsedUp Verdict = iota
	// Counted: the use may happen.
	Counted
	// Unsettled: there may be uses left; that is known within some seconds.
	Unsettled
)

// Period is a time in which something may be used so often.
type Period struct {
	Name  string
	Floor int64 // uses that are known to have been
	Quota int64
	Keep  time.Duration // until it is over, at least a millisecond
}

// Use is one use of something, in one period at least.
type Use struct {
	Scope, ID string
	Of        []Period
	// Lacks says that uses which the server does not know of may have been let pass. For
	// Settle from then on nobody is let pass more than its Share.
	Lacks  bool
	Settle time.Duration
	Share  bool // this one is within the share of who asks
}

// maxUses bounds a count: Lua has the numbers exactly up to it.
const maxUses = 1 << 53

// Use asks whether something may be used once more, and counts it in each period if so. counts
// are the uses of each period then. Without known the server is away, or did not answer in time:
// the use may have been counted.
func (s *Server) Use(u Use) (v Verdict, counts []int64, known bool) {
	names, name := make([]string, len(u.Of)), s.name(u.Scope, "{", u.ID, "}")
	args := append(make([]int64, 0, 3+3*len(u.Of)), u.Settle.Milliseconds(), flag(u.Lacks), flag(u.Share))
	for i, p := range u.Of {
		names[i] = name + ":" + p.Name
		args = append(args, p.Floor, p.Quota, p.Keep.Milliseconds())
	}
	answer, known := s.ask(s.uses, names, func(answer []int64) bool { return u.sense(answer) }, args...)
	if !known {
		return UsedUp, nil, false
	}
	return Verdict(answer[0]), answer[1:], true
}

// sense: a use is counted within its quota only, and none is forgotten.
func (u *Use) sense(answer []int64) bool {
	if len(answer) != 1+len(u.Of) || answer[0] < int64(UsedUp) || answer[0] > int64(Unsettled) {
		return false
	}
	counted := int64(0)
	if Verdict(answer[0]) == Counted {
		counted = 1
	}
	for i, p := range u.Of {
		if n := answer[1+i]; n < p.Floor+counted || counted == 1 && n > p.Quota || n > maxUses {
			return false
		}
	}
	return true
}

func flag(b bool) int64 {
	if b {
		return 1
	}
	return 0
}
