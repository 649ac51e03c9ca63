package client

// Logout is what a registration says of how the client is told that a sign-in has ended, of which it was told by an ID token.
type Logout struct {
	// BackchannelURI is where logout tokens are sent to (OpenID Connect Back-Channel Logout §2.2).
	BackchannelURI string `json:"backchannel_logout_uri,omitempty" maxLength:"512" doc:"Where it is told, by a signed token in a POST, that a sign-in has ended"`
	// BackchannelSession says that the client needs sid in its logout tokens, where it always is.
	BackchannelSession bool `json:"backchannel_logout_session_required,omitempty" doc:"It needs sid in these tokens, where it always is"`
}

// HearsLogout reports whether the client wants to be told of the end of sign-ins.
func (m Metadata) HearsLogout() bool { return m.BackchannelURI != "" }

func (m Metadata) checkLogout(fault func(member, text string)) {
	if uri := m.BackchannelURI; uri != "" && !fetchable(uri, m.AllowPrivateAddress) {
		fault("backchannel_logout_uri", "must be an https URL without user name and fragment") // §2.2
	}
}
