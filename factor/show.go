package factor

import (
	"cmp"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/credential"
	"github.com/gatehouse-auth/gatehouse/internal/qr"
)

// Shown is what an authenticator app must know, for whoever has it.
type Shown struct {
	Text gatehouse.Secret // to type by hand: base32
	URI  gatehouse.Secret // for an app on the same device (otpauth)
	QR   gatehouse.Secret // the same for a camera: an SVG image
}

// Show is the secret of [Vault.NewApp] for the app of an account of that name.
func Show(rl gatehouse.Realm, account string, secret []byte) (Shown, error) {
	uri := credential.TOTPURI(issuer(rl), account, secret)
	image, err := qr.SVG(uri)
	return Shown{gatehouse.Secret(credential.TOTPText(secret)), gatehouse.Secret(uri), gatehouse.Secret(image)}, err
}

// issuer is what an app shows above the account. The title that the first realm is made with says nothing to anybody.
func issuer(rl gatehouse.Realm) string {
	if rl.Name == gatehouse.MainRealm && (rl.Title == "" || rl.Title == "Main") {
		return "Gatehouse"
	}
	return cmp.Or(rl.Title, rl.Name)
}
