package gateway

// ReverseProxyOnly sends every request to u through httputil.ReverseProxy, for
// tests that compare.
func ReverseProxyOnly(u *Upstreams) {
	for _, up := range u.byName {
		up.way = struct{ roundTripper }{up.way}
	}
}

// Relayed reports whether the upstream of that name is reached directly.
func Relayed(u *Upstreams, name string) bool {
	_, ok := u.byName[name].way.(*direct)
	return ok
}
