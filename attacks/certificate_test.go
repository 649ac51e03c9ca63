package attacks_test

import (
	"crypto/x509"
	"encoding/json"
	"net/url"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/testcert"
)

// TestStolenCertificateBoundToken: a token that is bound to a certificate, in the hands of somebody who has the certificate, as everybody
// can who saw a handshake, and not its key.
func TestStolenCertificateBoundToken(t *testing.T) {
	w := the(t)
	w.accepted(t, "a bearer token", w.idp.honest())
	mine := testcert.SelfSigned(t, &x509.Certificate{})
	stolen := w.idp.es(header(), w.idp.claims("cnf", object{"x5t#S256": mine.Thumbprint()}))
	w.refused(t, "as it is", stolen)
	for _, cnf := range []object{{"x5t#S256": ""}, {"x5t#S256": mine.Thumbprint() + "="}, {"X5T#S256": mine.Thumbprint()}, {"x5t#S256": mine.Thumbprint(), "jkt": mine.Thumbprint()}} {
		w.refused(t, "bound in a strange way", w.idp.es(header(), w.idp.claims("cnf", cnf)))
	}
	for name, value := range map[string]string{"Client-Cert": mine.Line(), "Client-Cert-Chain": mine.Line(), "X-Client-Cert": mine.PEM()[:20], "X-SSL-Client-Cert": url.QueryEscape(mine.PEM()),
		"X-Forwarded-Client-Cert": "Cert=" + url.QueryEscape(mine.PEM()), "SSL_CLIENT_CERT": url.QueryEscape(mine.PEM()), "Client_Cert": mine.Line()} {
		if a := call(t, "GET", w.Gateway+"/private", "Authorization", "Bearer "+stolen, name, value); a.status != 401 && a.status != 400 {
			t.Errorf("with a line %s: %d %s", name, a.status, a.body)
		}
	}
}

// TestForgedCertificateLine: somebody who writes the line of a proxy, to be the client whose certificate is in it.
func TestForgedCertificateLine(t *testing.T) {
	w := the(t)
	mine := testcert.SelfSigned(t, &x509.Certificate{DNSNames: []string{"robot.example"}})
	body, err := json.Marshal(object{"client_name": "Robot", "grant_types": []string{"client_credentials"}, "token_endpoint_auth_method": "self_signed_tls_client_auth",
		"jwks": object{"keys": []any{mine.JWK()}}})
	if err != nil {
		t.Fatal(err)
	}
	made := call(t, "POST", w.Issuer+"/admin/v1/realms/main/clients", "Authorization", "Bearer "+w.AdminToken, "body", string(body)).want(t, "a client", 201)
	form := "grant_type=client_credentials&client_id=" + made.json["client_id"].(string)
	for _, name := range []string{"Client-Cert", "X-Client-Cert", "X-SSL-Client-Cert", "X-Forwarded-Client-Cert", "SSL-Client-Cert"} {
		if a := call(t, "POST", w.Issuer+"/token", "Content-Type", "application/x-www-form-urlencoded", "body", form, name, mine.Line()); a.status != 401 || a.json["error"] != "invalid_client" {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
}
