package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/gatehouse-auth/gatehouse/admin/clients"
	"github.com/gatehouse-auth/gatehouse/internal/exactjson"
	"github.com/gatehouse-auth/gatehouse/oauth/client"
)

// clientCommand is about the programs that may ask for tokens.
func (a *app) clientCommand() *cobra.Command {
	c := &cobra.Command{Use: "client", Short: "OAuth clients: register, change, rotate, disable, remove"}
	c.AddCommand(a.clientCreate(), a.clientUpdate(), a.clientRotate(), a.clientSwitch("disable", true), a.clientSwitch("enable", false), a.clientToken(),
		&cobra.Command{Use: "list", Short: "List the clients", Args: cobra.NoArgs, RunE: func(c *cobra.Command, _ []string) error {
			return a.list(c.Context(), a.realmPath("clients"), nil, "client_id", "client_name", "grant_types", "scope", "disabled", "secret_expires_at")
		}},
		a.clientShow(),
		&cobra.Command{Use: "delete CLIENT", Short: "Remove a client, and end what was issued to it", Args: cobra.ExactArgs(1), RunE: func(c *cobra.Command, args []string) error {
			if err := a.call(c.Context(), "DELETE", a.realmPath("clients", args[0]), nil, nil); err != nil {
				return err
			}
			return a.done("client %s is removed", args[0])
		}},
	)
	return c
}

// clientShow shows a client, or how a program is set up for it.
func (a *app) clientShow() *cobra.Command {
	var kind string
	c := &cobra.Command{
		Use: "show CLIENT", Short: "Show a client, by its client_id, or how a program is set up for it", Args: cobra.ExactArgs(1),
		Example: "  gatehouse client show $CLIENT_ID --snippet curl",
		RunE: func(c *cobra.Command, args []string) error {
			if kind == "" {
				return a.get(c.Context(), a.realmPath("clients", args[0]))
			}
			var out clients.Snippet
			if err := a.call(c.Context(), "GET", a.realmPath("clients", args[0], "snippets", kind), nil, &out); err != nil {
				return err
			}
			return a.print(out, func(w io.Writer) { fmt.Fprint(w, out.Text) })
		},
	}
	c.Flags().StringVar(&kind, "snippet", "", "how a program is set up for it, without the secret: "+strings.Join(clients.SnippetKinds(), ", "))
	return c
}

// clientMetadata are the flags for what a registration says, the same for a new client and for one that is changed.
type clientMetadata struct {
	method, keys, keysURI, alg string
	requestAlg                 string
	requireSigned              bool
	profile                    string
	delivery, askAlg           string
	private, bound, nonce      bool
	public                     bool
	grants                     []string
	scopes                     []string
	redirects, leads           []string
	told, framed               string
	origins                    []string
	requirePKCE                bool
	requirePushed              bool
	firstParty, legacyAudience bool
	about                      [3]string // client_uri, policy_uri, tos_uri
	contacts, detailTypes      []string
	algs                       [3]string // of ID tokens, of userinfo, of answers
	serves                     []string
	introspectionAlg           string
	exchanges                  string
	certificateBound           bool
}

func (m *clientMetadata) add(c *cobra.Command) {
	c.Flags().StringVar(&m.method, "auth-method", "client_secret_basic", "how it proves who it is: client_secret_basic, client_secret_post, private_key_jwt, tls_client_auth, self_signed_tls_client_auth, or none")
	c.Flags().BoolVar(&m.public, "public", false, "the same as --auth-method none: whoever has the program has all that is in it, so it gets no secret")
	c.Flags().StringVar(&m.keys, "jwks", "", "file with its public keys, for private_key_jwt, self_signed_tls_client_auth and signed requests (- is standard input)")
	c.Flags().StringVar(&m.keysURI, "jwks-uri", "", "https address of its public keys, in place of --jwks")
	c.Flags().StringVar(&m.alg, "signing-alg", "", "the one algorithm by which it signs: ES256; without it, that of its key")
	c.Flags().BoolVar(&m.private, "private-address", false, "let --jwks-uri and --backchannel-logout-uri lead to loopback and private addresses")
	c.Flags().StringSliceVar(&m.grants, "grant-type", nil, "by what it may ask for tokens: client_credentials, authorization_code, device_code, ciba, refresh_token, token_exchange; may be repeated (default client_credentials; with --redirect-uri, the other two)")
	c.Flags().StringSliceVar(&m.scopes, "scope", nil, "scope that it may have, of the realm's catalogue, or offline_access; may be repeated")
	c.Flags().StringArrayVar(&m.redirects, "redirect-uri", nil, "where browsers may be sent back to; may be repeated")
	c.Flags().StringArrayVar(&m.leads, "post-logout-redirect-uri", nil, "where browsers may be sent after the program had a person sign out; may be repeated")
	c.Flags().StringVar(&m.told, "backchannel-logout-uri", "", "where it is told, by a signed token, that a sign-in has ended")
	c.Flags().StringVar(&m.framed, "frontchannel-logout-uri", "", "what is loaded in a frame of the browser in which the person signs out")
	c.Flags().StringSliceVar(&m.origins, "cors-origin", nil, "origin whose pages may call the token endpoint, beside those of a public client's redirect URIs; may be repeated")
	c.Flags().BoolVar(&m.requirePKCE, "require-pkce", true, "refuse requests without PKCE; false only for a client that proves who it is")
	c.Flags().StringVar(&m.requestAlg, "request-alg", "", "the one algorithm by which it signs authorization requests (JAR), with a key of --jwks or --jwks-uri")
	c.Flags().BoolVar(&m.requireSigned, "require-signed", false, "refuse authorization requests that it did not sign (JAR)")
	c.Flags().StringVar(&m.profile, "profile", "", "hold it to a profile of OAuth: fapi2 (FAPI 2.0 Security Profile)")
	c.Flags().StringVar(&m.delivery, "delivery", client.DeliveryPoll, "how it learns that a person has decided, with the grant type ciba: poll")
	c.Flags().StringVar(&m.askAlg, "ciba-alg", "", "the one algorithm by which it signs its requests of CIBA, which then are refused unsigned")
	c.Flags().BoolVar(&m.requirePushed, "require-pushed", false, "refuse authorization requests that it did not push before (PAR)")
	c.Flags().BoolVar(&m.firstParty, "first-party", false, "it belongs to whoever runs the realm: people are not asked whether it may")
	c.Flags().StringSliceVar(&m.detailTypes, "detail-type", nil, "type of authorization details that it may ask for, of those of the realm; may be repeated")
	c.Flags().BoolVar(&m.legacyAudience, "legacy-assertion-aud", false, "take assertions that name the token endpoint in place of the issuer (private_key_jwt of before RFC 10070)")
	c.Flags().StringVar(&m.about[0], "home-uri", "", "https address of its home page, a link where people are asked")
	c.Flags().StringVar(&m.about[1], "policy-uri", "", "https address of how it treats data of people, a link where people are asked")
	c.Flags().StringVar(&m.about[2], "terms-uri", "", "https address of its terms, a link where people are asked")
	c.Flags().StringArrayVar(&m.contacts, "contact", nil, "how to reach who is responsible for it; may be repeated")
	c.Flags().StringVar(&m.algs[0], "id-token-alg", "", "by what its ID tokens are signed: RS256 (default), PS256, ES256, ES384 or EdDSA")
	c.Flags().StringVar(&m.algs[1], "userinfo-alg", "", "by what answers of userinfo are signed, as --id-token-alg; without it they are plain JSON")
	c.Flags().StringVar(&m.algs[2], "answer-alg", "", "by what answers of the authorization endpoint are signed (JARM), as --id-token-alg")
	c.Flags().BoolVar(&m.bound, "dpop-bound", false, "give it only tokens that are bound to a key, by a DPoP proof")
	for flag, what := range certificateNames() {
		c.Flags().String(flag, "", what)
	}
	c.Flags().BoolVar(&m.certificateBound, "certificate-bound", false, "give it only tokens that are bound to its client certificate")
	c.Flags().BoolVar(&m.nonce, "dpop-nonce", false, "demand that its DPoP proofs hold a nonce of the token endpoint")
	c.Flags().StringVar(&m.introspectionAlg, "introspection-alg", "", "by what signed answers of introspection are signed: RS256 (default), PS256, ES256, ES384 or EdDSA")
	c.Flags().StringVar(&m.exchanges, "token-exchange", "", "file with the rules by which it may exchange tokens, a JSON array; [] for none (- is standard input)")
	c.Flags().StringSliceVar(&m.serves, "introspects", nil, "audience of the realm for which it is the API, and may ask what tokens stand for; may be repeated")
}

// certificateNames are the flags that say whose certificate a client with tls_client_auth has.
func certificateNames() map[string]string {
	return map[string]string{"tls-subject-dn": "for tls_client_auth: the subject of its certificate, CN=robot,O=Example (RFC 4514)", "tls-san-dns": "or a DNS name in it",
		"tls-san-uri": "or a URI in it, spiffe://example/robot", "tls-san-ip": "or an IP address in it", "tls-san-email": "or a mail address in it"}
}

// put adds those members to the body of a request that were given, or all.
func (m *clientMetadata) put(a *app, c *cobra.Command, body object, all bool) error {
	if m.keys != "" {
		text, err := a.readFileOrStdin(m.keys, 64<<10)
		if err != nil {
			return err
		}
		set, err := jsonObject(m.keys, text)
		if err != nil {
			return err
		}
		if set["keys"] == nil { // one key, as tools write it
			set = object{"keys": []object{set}}
		}
		body["jwks"] = set
	}
	if m.exchanges != "" {
		text, err := a.readFileOrStdin(m.exchanges, 64<<10)
		if err != nil {
			return err
		}
		var rules []object
		if err := exactjson.Unmarshal(text, &rules); err != nil {
			return usagef("%s is no JSON array of rules: %v", m.exchanges, err)
		}
		body["token_exchange"] = rules
	}
	if c.Flags().Changed("jwks-uri") {
		body["jwks_uri"] = m.keysURI
	}
	if m.private {
		body["allow_private_address"] = true
	}
	if c.Flags().Changed("signing-alg") {
		body["token_endpoint_auth_signing_alg"] = m.alg
	}
	for flag := range certificateNames() {
		if v, err := c.Flags().GetString(flag); err == nil && v != "" {
			body["tls_client_auth_"+strings.ReplaceAll(strings.TrimPrefix(flag, "tls-"), "-", "_")] = v
		}
	}
	if c.Flags().Changed("certificate-bound") {
		body["tls_client_certificate_bound_access_tokens"] = m.certificateBound
	}
	return m.putFlow(c, body, all)
}

// putLogout adds what is to happen when somebody signs out.
func (m *clientMetadata) putLogout(given func(string) bool, body object) {
	if given("post-logout-redirect-uri") {
		body["post_logout_redirect_uris"] = m.leads
	}
	if given("backchannel-logout-uri") {
		body["backchannel_logout_uri"] = m.told
	}
	if given("frontchannel-logout-uri") {
		body["frontchannel_logout_uri"] = m.framed
	}
}

// putFlow adds what the client may ask for, and where browsers may be sent back to.
func (m *clientMetadata) putFlow(c *cobra.Command, body object, all bool) error {
	given := c.Flags().Changed
	if m.public && given("auth-method") && m.method != "none" {
		return usagef("--public says what --auth-method contradicts")
	}
	if m.public {
		m.method = "none"
	}
	if all && !given("grant-type") {
		m.grants = []string{"client_credentials"}
		if len(m.redirects) > 0 {
			m.grants = []string{"authorization_code", "refresh_token"}
		}
	}
	m.putBackchannel(c, body, all)
	if all || given("auth-method") || m.public {
		body["token_endpoint_auth_method"] = m.method
	}
	if all || given("grant-type") {
		body["grant_types"] = append([]string{}, m.grants...)
	}
	if all || given("scope") {
		body["scope"] = strings.Join(m.scopes, " ")
	}
	m.putLogout(given, body)
	if c.Flags().Changed("dpop-bound") {
		body["dpop_bound_access_tokens"] = m.bound
	}
	if c.Flags().Changed("dpop-nonce") {
		body["require_dpop_nonce"] = m.nonce
	}
	if given("redirect-uri") {
		body["redirect_uris"] = append([]string{}, m.redirects...)
	}
	if given("cors-origin") {
		body["allowed_cors_origins"] = append([]string{}, m.origins...)
	}
	if given("require-pkce") {
		body["require_pkce"] = m.requirePKCE
	}
	if given("request-alg") {
		body["request_object_signing_alg"] = m.requestAlg
	}
	if given("require-signed") {
		body["require_signed_request_object"] = m.requireSigned
	}
	if given("profile") {
		body["profile"] = m.profile
	}
	if given("require-pushed") {
		body["require_pushed_authorization_requests"] = m.requirePushed
	}
	if given("first-party") {
		body["first_party"] = m.firstParty
	}
	if given("legacy-assertion-aud") {
		body["legacy_assertion_aud"] = m.legacyAudience
	}
	for i, names := range [...][2]string{{"home-uri", "client_uri"}, {"policy-uri", "policy_uri"}, {"terms-uri", "tos_uri"}} {
		if given(names[0]) {
			body[names[1]] = m.about[i]
		}
	}
	for i, names := range [...][2]string{{"id-token-alg", "id_token_signed_response_alg"}, {"userinfo-alg", "userinfo_signed_response_alg"}, {"answer-alg", "authorization_signed_response_alg"}} {
		if given(names[0]) {
			body[names[1]] = m.algs[i]
		}
	}
	if given("detail-type") {
		body["authorization_details_types"] = append([]string{}, m.detailTypes...)
	}
	if given("contact") {
		body["contacts"] = append([]string{}, m.contacts...)
	}
	if given("introspection-alg") {
		body["introspection_signed_response_alg"] = m.introspectionAlg
	}
	if c.Flags().Changed("introspects") {
		body["introspection_audiences"] = append([]string{}, m.serves...)
	}
	return nil
}

// putBackchannel writes the grant types out, and adds how the client has people asked.
func (m *clientMetadata) putBackchannel(c *cobra.Command, body object, all bool) {
	for i, name := range m.grants {
		switch name { // nobody types the whole of it
		case "device_code":
			m.grants[i] = client.GrantDeviceCode
		case "token_exchange":
			m.grants[i] = client.GrantTokenExchange
		case "ciba":
			m.grants[i] = client.GrantBackchannel
		}
	}
	if c.Flags().Changed("delivery") || all && slices.Contains(m.grants, client.GrantBackchannel) {
		body["backchannel_token_delivery_mode"] = m.delivery
	}
	if c.Flags().Changed("ciba-alg") {
		body["backchannel_authentication_request_signing_alg"] = m.askAlg
	}
}

// secretEnd is the flag for how long a secret lives.
func secretEnd(c *cobra.Command, l *lifetime) {
	*l = lifetime{least: time.Minute, most: 36_500 * 24 * time.Hour}
	lifetimeVar(c, l, "expires", "end the secret after this long: 90d, 2160h; without it, it does not end")
}

func putEnd(body object, l lifetime) {
	if l.value > 0 {
		body["secret_expires_at"] = time.Now().Add(l.value).UTC().Format(time.RFC3339)
	}
}

func (a *app) clientCreate() *cobra.Command {
	var m clientMetadata
	var expires lifetime
	var template string
	c := &cobra.Command{
		Use:   "create NAME",
		Short: "Register a client; its secret, where it has one, is shown once",
		Example: `  gatehouse client create app --template web --redirect-uri https://app.example/back
  gatehouse client create "nightly export" --template service --scope documents:read --json
  gatehouse client create "nightly export" --scope documents:read
  gatehouse client create "nightly export" --scope documents:read --auth-method private_key_jwt --jwks public.json
  gatehouse client create app --redirect-uri https://app.example/back --scope documents:read
  gatehouse client create desk --public --redirect-uri http://127.0.0.1/back --scope documents:read
  gatehouse client create bank --grant-type ciba --scope openid --auth-method private_key_jwt --jwks public.json
  gatehouse client create television --public --grant-type device_code --grant-type refresh_token --scope documents:read --scope offline_access`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			body := object{"client_name": args[0]}
			if template != "" {
				body["template"] = template
			}
			if err := m.put(a, c, body, template == ""); err != nil {
				return err
			}
			putEnd(body, expires)
			var out object
			if err := a.call(c.Context(), "POST", a.realmPath("clients"), body, &out); err != nil {
				return err
			}
			return a.showSecret(out, "", "client_secret")
		},
	}
	m.add(c)
	c.Flags().StringVar(&template, "template", "", "what kind of program it is, which fills in what is not said here: "+strings.Join(client.TemplateNames(), ", "))
	secretEnd(c, &expires)
	return c
}

func (a *app) clientUpdate() *cobra.Command {
	var m clientMetadata
	var name string
	c := &cobra.Command{
		Use:     "update CLIENT",
		Short:   "Change a client; what is not named stays as it is, and what it has by what it may no longer ends",
		Example: `  gatehouse client update $CLIENT_ID --name "nightly export" --scope documents:read`,
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			body := object{}
			if c.Flags().Changed("name") {
				body["client_name"] = name
			}
			if err := m.put(a, c, body, false); err != nil {
				return err
			}
			if len(body) == 0 {
				return usagef("nothing to change: give --name, --scope, --grant-type, --auth-method, --jwks, --redirect-uri, --cors-origin, --require-pkce, --first-party, --dpop-bound, --certificate-bound, --dpop-nonce, --id-token-alg, --userinfo-alg, --answer-alg, --token-exchange or --introspects")
			}
			var out object
			if err := a.call(c.Context(), "PATCH", a.realmPath("clients", args[0]), body, &out); err != nil {
				return err
			}
			return a.show(out)
		},
	}
	c.Flags().StringVar(&name, "name", "", "what people know it by")
	m.add(c)
	return c
}

func (a *app) clientRotate() *cobra.Command {
	overlap := lifetime{value: 24 * time.Hour, most: 90 * 24 * time.Hour}
	var expires lifetime
	c := &cobra.Command{
		Use:   "rotate CLIENT",
		Short: "Make another secret; the old one goes on for the overlap",
		Args:  cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			body := object{"overlap": overlap.value.String()}
			putEnd(body, expires)
			var out object
			if err := a.call(c.Context(), "POST", a.realmPath("clients", args[0], "rotate"), body, &out); err != nil {
				return err
			}
			return a.showSecret(out, "", "client_secret")
		},
	}
	lifetimeVar(c, &overlap, "overlap", "how long both secrets work, at most 90d; 0 ends the old one, and what was issued by it, at once")
	secretEnd(c, &expires)
	return c
}

// clientSwitch disables a client or enables it again.
func (a *app) clientSwitch(verb string, disabled bool) *cobra.Command {
	short := "Let a client have tokens again"
	if disabled {
		short = "Give a client no tokens, and end what it has"
	}
	return &cobra.Command{Use: verb + " CLIENT", Short: short, Args: cobra.ExactArgs(1), RunE: func(c *cobra.Command, args []string) error {
		if err := a.call(c.Context(), "PATCH", a.realmPath("clients", args[0]), object{"disabled": disabled}, nil); err != nil {
			return err
		}
		return a.done("client %s is %sd", args[0], verb)
	}}
}
