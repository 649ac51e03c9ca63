package telemetry

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"github.com/gatehouse-auth/gatehouse"
)

// other stands for every label value that is not in its closed set.
const other = "other"

// Closed sets of label values. They are the codes of other packages, spelled once more here because they must be known
// before the first request; a test compares them with the sources (TestFailureReasons, TestDecisionOutcomes).
var (
	outcomes = set("allowed", "denied", "unauthenticated", "limited", "not_found", "invalid", "error")
	reasons  = set("credential_cut_off", "credential_missing", "directory_ambiguous", "directory_disabled", "directory_empty_password", "directory_must_reset",
		"directory_other_entry", "directory_other_name", "directory_refused", "directory_unknown", "initial_password_over", "insufficient_user_authentication", "internal", "invalid_credentials", "invalid_token", "key_address_not_allowed", "key_checksum",
		"key_disabled", "key_environment_mismatch", "key_expired", "key_leaked", "key_malformed", "key_revoked",
		"key_secret_mismatch", "key_unknown", "key_wrong_realm", "no_password", "password_hash_unusable", "password_queue_full",
		"proof_required", "realm_disabled", "realm_unknown", "refresh_token_presented", "scheme_not_accepted", "scheme_unsupported",
		"session_ended", "session_expired", "session_idle", "session_malformed", "session_of_another_browser", "session_of_another_host", "session_unknown",
		"subject_disabled", "subject_unknown", "ticket_expired", "ticket_for_another_request", "ticket_malformed", "ticket_unknown", "token_algorithm_not_allowed", "token_bound_otherwise", "token_claim_missing", "token_expired",
		"token_key_unknown", "token_lives_too_long", "token_malformed", "token_needs_proof", "token_not_bound", "token_not_yet_valid", "token_revoked", "token_signature_invalid",
		"token_too_large", "token_unknown", "token_unrecognized", "token_wrong_audience", "token_wrong_issuer",
		"token_wrong_subject", "token_wrong_type", "too_many_attempts", "unknown_user", "user_disabled", "wrong_password")
	decisions = set("permitted", "no_permit", "forbidden", "evaluation_error", "policy_unavailable", "directory_unavailable",
		"realm_disabled", "realm_unknown", "subject_disabled", "unauthenticated", "insufficient_scope")
	signals = set("one_account", "many_accounts", "one_password", "realm_rate", "codes", "reset_mails", "breached_login")
)

type labels map[string]struct{}

func set(values ...string) labels {
	l := labels{}
	for _, v := range values {
		l[v] = struct{}{}
	}
	return l
}

func (l labels) of(v string) string {
	if _, ok := l[v]; ok {
		return v
	}
	return other
}

// Metrics are all metrics of the program. Its methods may be called on nil, so
// that a part can be used without metrics.
type Metrics struct {
	mu       sync.Mutex // of families
	families []family
	routes   atomic.Pointer[map[string]*routeMetrics]
	other    *routeMetrics               // of routes that are not known
	schemes  labels                      // kinds of credentials
	refused  map[string]*metrics.Counter // credentials, by reason; closed
	decided  map[string]*metrics.Counter // by code; closed
	signals  map[string]*metrics.Counter // of attacks; closed

	requests *metrics.Set
	latency  *metrics.Set
	disks    *metrics.Set
}

// family is one metric with all its labels. Each has a set of its own, because the library
// writes neither the kind nor what it counts.
type family struct {
	name, kind, help string
	set              *metrics.Set
}

// seconds are the bounds of the histogram of requests.
var seconds = []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30}

// NewMetrics makes all that is counted here. schemes are the kinds of credentials that
// requests are counted by; another one is counted as "other".
func NewMetrics(schemes ...gatehouse.Scheme) *Metrics {
	m := &Metrics{schemes: set("none")}
	for _, s := range schemes {
		m.schemes[string(s)] = struct{}{}
	}
	m.routes.Store(&map[string]*routeMetrics{})
	m.requests = m.family("requests_total", "counter", "Requests through the pipeline.")
	m.refused = m.closed("authentication_failures_total", "Credentials that were refused.", "reason", reasons)
	m.decided = m.closed("decisions_total", "Answers of the decision point.", "outcome", decisions)
	m.signals = m.closed("attack_signals_total", "Signals of attacks.", "signal", signals)
	m.latency = m.family("request_seconds", "histogram", "Time of a whole request, with the upstream's.")
	m.disks = m.family("disk_free_bytes", "gauge", "Bytes that are free where a directory is.")
	m.other = m.newRoute(other)
	return m
}

// closed adds a counter for each value of a label, and for what is none of them.
func (m *Metrics) closed(name, help, label string, values labels) map[string]*metrics.Counter {
	set, counters := m.family(name, "counter", help), map[string]*metrics.Counter{}
	for _, v := range append(slices.Collect(maps.Keys(values)), other) {
		counters[v] = set.NewCounter(labelled(name, label, v))
	}
	return counters
}

// family adds a metric; its samples come from the set.
func (m *Metrics) family(name, kind, help string) *metrics.Set {
	f := family{"gatehouse_" + name, kind, help, metrics.NewSet()}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.families = append(m.families, f)
	return f.set
}

// labelled names a metric with its labels, which are pairs of name and value.
func labelled(name string, pairs ...string) string {
	b := []byte("gatehouse_" + name)
	for i := 0; i < len(pairs); i += 2 {
		b = fmt.Appendf(b, "%c%s=%q", "{,"[min(i, 1)], pairs[i], pairs[i+1])
	}
	return string(append(b, '}'))
}

// routeMetrics are the metrics of one route, looked up once and not at each
// request. A pair of outcome and scheme is made when it first occurs, so that
// only those appear that do.
type routeMetrics struct {
	id       string
	requests *metrics.Set
	latency  *metrics.PrometheusHistogram
	schemes  labels
	counters sync.Map // requestKey → *metrics.Counter; closed sets
}

type requestKey struct{ outcome, scheme string }

func (m *Metrics) newRoute(id string) *routeMetrics {
	return &routeMetrics{id: id, requests: m.requests, latency: m.latency.GetOrCreatePrometheusHistogramExt(labelled("request_seconds", "route", id), seconds), schemes: m.schemes}
}

func (r *routeMetrics) count(outcome, scheme string) {
	key := requestKey{outcomes.of(outcome), r.schemes.of(scheme)}
	c, ok := r.counters.Load(key)
	if !ok {
		c, _ = r.counters.LoadOrStore(key, r.requests.GetOrCreateCounter(labelled("requests_total", "outcome", key.outcome, "route", r.id, "scheme", key.scheme)))
	}
	c.(*metrics.Counter).Inc()
}

// SetRoutes sets which route ids are counted by name. They come from
// configuration, never from a request.
func (m *Metrics) SetRoutes(ids []string) {
	if m != nil {
		routes := make(map[string]*routeMetrics, len(ids))
		for _, id := range ids {
			routes[id] = m.newRoute(id)
		}
		m.routes.Store(&routes)
	}
}

// request counts one request through the pipeline. outcome is one of allowed,
// denied, unauthenticated, limited, not_found, invalid, error.
func (m *Metrics) request(route, outcome string, scheme gatehouse.Scheme, took time.Duration) {
	if m == nil {
		return
	}
	r := (*m.routes.Load())[route]
	if r == nil {
		r = m.other
	}
	r.count(outcome, cmp.Or(string(scheme), "none"))
	r.latency.Update(took.Seconds())
}

// authnFailure counts a refused credential by the stable code of the refusal.
func (m *Metrics) authnFailure(code string) {
	if m != nil {
		m.refused[reasons.of(code)].Inc()
	}
}

// Decision counts an answer of the decision point by Decision.Code.
func (m *Metrics) Decision(code string) {
	if m != nil {
		m.decided[decisions.of(code)].Inc()
	}
}

// AttackSignal counts a signal of an attack by its name.
func (m *Metrics) AttackSignal(signal string) {
	if m != nil {
		m.signals[signals.of(signal)].Inc()
	}
}

// Watch are values that their owners keep and that are read when the metrics
// are. A nil function leaves its metric out. They must be quick and safe for
// concurrent use.
type Watch struct {
	AuditQueueDepth func() float64
	AuditRecorded   func() float64
	AuditDropped    func() float64
	AuditCounted    func() float64 // refusals that were counted and not recorded one by one
	AuditFailures   func() float64
	AuditLogSize    func() float64 // sequenced events of all realms
	AuditBroken     func() float64 // realms whose log is no continuation of what was signed
	ViewAge         func() float64 // seconds
	ViewStale       func() float64 // 1 while requests are refused because of it, else 0
	NodesLive       func() float64 // processes on the database, this one among them
	NodesSilent     func() float64 // processes that are listed and say nothing
	LeasesHeld      func() float64 // background work that this process does for all
	ClockOffset     func() float64 // seconds by which the machine's clock is ahead of the database's
	StaleServed     func() float64 // requests that were answered by a view that was too old
	StaleAsked      func() float64 // requests whose credential the database was asked about then
	SoleNode        func() float64 // 1 while this process goes on when its database is away, else 0
	StatusBits      func() float64
	Cutoffs         func() float64
	MailSent        func() float64 // messages that a mail server took from this process
	MailRetried     func() float64 // tries that failed, and are made again
	MailFailed      func() float64 // messages that were given up
	MailLimited     func() float64 // messages beyond what an address or realm may get
	PasswordWaiting func() float64 // passwords that wait for the hashing pool
	PasswordRefused func() float64 // those for which it had no place in time
	LDAPAnswered    func() float64 // questions that a directory answered, yes or no
	LDAPUnanswered  func() float64 // questions without an answer
	LDAPAway        func() float64 // directories that are left alone since one of those
	LimitKeys       func() float64 // who is counted by the rate limits
	LimitSpilled    func() float64 // events counted together because there were too many of those
	LimitAway       func() float64 // 1 while the server that counts for all nodes is away, else 0
	LimitLocal      func() float64 // requests that this node judged by its share meanwhile
	PasswordHashed  func() float64 // passwords that were hashed to be judged
	BreachedNew     func() float64 // new passwords refused as breached
	BreachedLogins  func() float64 // logins with a breached password
	// BreachedUnanswered are questions to the server of breached passwords without an answer.
	BreachedUnanswered func() float64
	PasswordKnown      func() float64 // passwords that were judged without hashing
	UsersKnown         func() float64 // users found in memory
	UsersRead          func() float64 // users read from the store
	ReloadGood         func() float64 // 1 when the last reload was taken, or there was none; else 0
	RestartPending     func() float64 // keys of the configuration that wait for a restart
}

// Watch registers the values. It may be called once.
func (m *Metrics) Watch(w Watch) {
	if m == nil {
		return
	}
	watch := func(name, kind, help string, f func() float64) {
		if f != nil {
			m.family(name, kind, help).RegisterMetricsWriter(func(w io.Writer) { metrics.WriteGaugeFloat64(w, "gatehouse_"+name, f()) })
		}
	}
	gauge := func(name, help string, f func() float64) { watch(name, "gauge", help, f) }
	counter := func(name, help string, f func() float64) { watch(name, "counter", help, f) }
	gauge("audit_queue_events", "Decision events that are recorded but not yet stored.", w.AuditQueueDepth)
	counter("audit_recorded_total", "Decision events that were recorded.", w.AuditRecorded)
	counter("audit_dropped_total", "Decision events that were dropped because the queue was full.", w.AuditDropped)
	counter("audit_counted_total", "Refusals of callers who never authenticated that were counted with others and not recorded one by one.", w.AuditCounted)
	counter("audit_store_failures_total", "Attempts to store decision events that failed.", w.AuditFailures)
	gauge("audit_log_events", "Events in the Merkle logs.", w.AuditLogSize)
	gauge("audit_broken_logs", "Realms whose log is no continuation of what was signed for it.", w.AuditBroken)
	gauge("view_age_seconds", "How long ago another process may have changed something that this one does not know of.", w.ViewAge)
	gauge("view_stale", "1 while requests are refused because what is known of the database is too old, else 0.", w.ViewStale)
	gauge("nodes_live", "Processes that work on the database, this one among them.", w.NodesLive)
	gauge("nodes_silent", "Processes that are listed for the database and say nothing.", w.NodesSilent)
	gauge("leases_held", "Leases for background work that this process holds.", w.LeasesHeld)
	gauge("clock_offset_seconds", "How far the clock of this machine is ahead of the database's, which counts; negative when behind.", w.ClockOffset)
	counter("stale_served_total", "Requests that were answered by what was known of the database, which was too old.", w.StaleServed)
	counter("stale_asked_total", "Requests whose credential the database was asked about because what was known of it was too old.", w.StaleAsked)
	gauge("sole_node", "1 while this process is the only one, and goes on when the database is away, else 0.", w.SoleNode)
	gauge("revocation_status_bits", "Revoked status bits in memory.", w.StatusBits)
	gauge("revocation_cutoffs", "Cut-offs in memory.", w.Cutoffs)
	counter("mail_sent_total", "Messages to people that the mail server took.", w.MailSent)
	counter("mail_retried_total", "Tries to send a message that failed and are made again.", w.MailRetried)
	counter("mail_failed_total", "Messages to people that were given up.", w.MailFailed)
	counter("mail_limited_total", "Messages that were not queued because the address or the realm had as many as it may get.", w.MailLimited)
	gauge("password_waiting", "Passwords that wait for the hashing pool.", w.PasswordWaiting)
	counter("password_turned_away_total", "Passwords that were not looked at, because too many waited or for too long.", w.PasswordRefused)
	counter("ldap_answered_total", "Questions that an LDAP directory answered, yes or no.", w.LDAPAnswered)
	counter("ldap_unanswered_total", "Questions that an LDAP directory gave no answer to.", w.LDAPUnanswered)
	gauge("ldap_away", "LDAP directories that could not be asked a moment ago.", w.LDAPAway)
	gauge("limit_keys", "Callers whom the rate limits count.", w.LimitKeys)
	counter("limit_spilled_total", "Requests that the rate limits counted together with others: there were too many callers.", w.LimitSpilled)
	gauge("limit_server_away", "1 while the server on which all nodes count together is away, and each counts its share; else 0.", w.LimitAway)
	counter("limit_local_total", "Requests that were counted by this node's share because that server was away.", w.LimitLocal)
	counter("password_hashed_total", "Passwords that were hashed to be judged.", w.PasswordHashed)
	counter("password_breached_refused_total", "New passwords that were refused because they are known from a breach.", w.BreachedNew)
	counter("password_breached_logins_total", "Logins with a right password that is known from a breach.", w.BreachedLogins)
	counter("password_breached_unanswered_total", "New passwords that were taken because the server that lists breached ones did not answer.", w.BreachedUnanswered)
	counter("password_known_total", "Passwords that were judged without hashing: verified a moment ago.", w.PasswordKnown)
	counter("directory_known_total", "Users found in memory.", w.UsersKnown)
	counter("directory_read_total", "Users read from the store.", w.UsersRead)
	gauge("config_reload_good", "1 when the last reload of the configuration was taken, or there was none; 0 when it was refused.", w.ReloadGood)
	gauge("config_restart_pending", "Keys of the configuration that were read anew, differ and wait for a restart.", w.RestartPending)
}

// WatchDisk adds the free space of a directory: bytes, and false while they are not known,
// when its metric is left out. It may be called once for each name.
func (m *Metrics) WatchDisk(directory string, free func() (bytes uint64, known bool)) {
	if m == nil {
		return
	}
	m.disks.RegisterMetricsWriter(func(w io.Writer) {
		if n, known := free(); known {
			metrics.WriteGaugeUint64(w, labelled("disk_free_bytes", "directory", directory), n)
		}
	})
}

// write writes everything in the Prometheus text format, and what is known of Go and of the
// process.
func (m *Metrics) write(w io.Writer) {
	m.mu.Lock()
	families := m.families
	m.mu.Unlock()
	var samples bytes.Buffer
	for _, f := range families {
		samples.Reset()
		if f.set.WritePrometheus(&samples); samples.Len() > 0 {
			fmt.Fprintf(w, "# HELP %s %s\n# TYPE %[1]s %[3]s\n%s", f.name, f.help, f.kind, samples.Bytes())
		}
	}
	metrics.WriteGoMetrics(w)
	metrics.WriteProcMetrics(w)
	metrics.WriteFDMetrics(w)
}

// readers is how many may read the metrics at once.
const readers = 4

// Handler serves the metrics in the Prometheus text format. It belongs on a listener
// of its own that the outside does not reach.
func (m *Metrics) Handler() http.Handler {
	reading := make(chan struct{}, readers)
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		select {
		case reading <- struct{}{}:
			defer func() { <-reading }()
		default:
			http.Error(w, "the metrics are being read by others", http.StatusServiceUnavailable)
			return
		}
		var b bytes.Buffer
		m.write(&b)
		w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
		_, _ = w.Write(b.Bytes()) // a reader that went away
	})
}
