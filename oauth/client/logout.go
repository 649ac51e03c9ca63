package client

import (
	"net/url"
	"slices"
)

// Logout is what a registration says of how the client is told that a sign-in has ended, of which it was told by an ID token.
type Logout struct {
	// BackchannelURI is where logout tokens are sent to (OpenID Connect Back-Channel Logout §2.2).
	BackchannelURI string `json:"backchannel_logout_uri,omitempty" maxLength:"512" doc:"Where it is told, by a signed token in a POST, that a sign-in has ended"`
	// BackchannelSession says that the client needs sid in its logout tokens, where it always is.
	BackchannelSession bool `json:"backchannel_logout_session_required,omitempty" doc:"It needs sid in these tokens, where it always is"`
	// FrontchannelURI is what a frame loads in the browser in which the person signs out (OpenID Connect Front-Channel Logout §2).
	FrontchannelURI string `json:"frontchannel_logout_uri,omitempty" maxLength:"512" doc:"What is loaded in a frame of the browser in which the person signs out; of the origin of a redirect URI"`
	// FrontchannelSession says that the client needs iss and sid in that address, where they always are.
	FrontchannelSession bool `json:"frontchannel_logout_session_required,omitempty" doc:"It needs iss and sid in that address, where they always are"`
}

// HearsLogout reports whether the client wants to be told of the end of sign-ins.
func (m Metadata) HearsLogout() bool { return m.BackchannelURI != "" || m.FrontchannelURI != "" }

func (m Metadata) checkLogout(fault func(member, text string)) {
	if uri := m.BackchannelURI; uri != "" && !fetchable(uri, m.AllowPrivateAddress) {
		fault("backchannel_logout_uri", "must be an https URL without user name and fragment") // §2.2
	}
	if m.FrontchannelURI == "" {
		return
	}
	if wrong := wrongRedirect(m.FrontchannelURI); wrong != "" {
		fault("frontchannel_logout_uri", wrong)
		return
	}
	// Front-Channel Logout §2. It goes into a content policy, and whose else a frame could be is not shown in a page of ours.
	if at := Origin(m.FrontchannelURI); at == "" || !slices.ContainsFunc(m.RedirectURIs, func(uri string) bool { return Origin(uri) == at }) {
		fault("frontchannel_logout_uri", "must have the scheme, host and port of one of redirect_uris")
	}
}

// Origin is that of a registered address, https://app.example; "" for one of a scheme without hosts.
func Origin(uri string) string {
	u, err := url.Parse(uri)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return ""
	}
	return u.Scheme + "://" + u.Host
}
