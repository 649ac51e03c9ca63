package pages

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/grant"
	"github.com/gatehouse-auth/gatehouse/oauth/authorize"
	"github.com/gatehouse-auth/gatehouse/oauth/rar"
)

// Device is the page at which people type the code that a device without a browser shows (RFC 8628 §3.3).
const Device = "/device"

const pageDeviceSay = Device + "/say"

// codeWrong is the error of a code with which no device waits.
const codeWrong = "user_code_wrong"

// Devices finds what waits with a code, and takes what the person says; *authorize.Service does.
type Devices interface {
	Device(ctx context.Context, who *gatehouse.Principal, typed string) (authorize.DeviceRequest, error)
	DecideDevice(ctx context.Context, who *gatehouse.Principal, typed string, allow bool) error
}

func (h *Handler) registerDevices(mux *http.ServeMux) {
	for _, prefix := range []string{"", "/realms/{realm}"} {
		mux.Handle("GET "+prefix+Device, h.page((*visit).deviceCode))
		mux.Handle("POST "+prefix+Device, h.page((*visit).deviceCodeSent))
		mux.Handle("POST "+prefix+pageDeviceSay, h.page((*visit).deviceSaid))
	}
}

// deviceView is what devicecode.html shows: the question for the code, then, Asked, the one whether the device may go on, and
// what was said.
type deviceView struct {
	frame
	Action, Form       string
	Typed              string // as it came
	Problem            string // with the field
	Notice             string // with the whole of it
	Username, Initials string
	Other              string // to sign in as somebody else

	Asked, Allowed, Denied bool
	Code                   string // as the device shows it
	Client                 string // its name
	Scopes                 []scopeLine
	Details                []rar.Words
	Resources              []string
	From, At, AtISO        string // where it asked, and when
	Here                   string // the address of who is asked, where it is another one; ""
}

// deviceCode asks for the code. One that came in a link is filled in and nothing more: whoever sends links to people has nothing
// looked up for them, and uses none of their tries up.
func (v *visit) deviceCode() error {
	typed := grant.UserCode(one(v.r, "user_code"))
	if v.who == nil {
		return v.redirect(v.signInForDevice(typed))
	}
	return v.askDevice(http.StatusOK, deviceView{Typed: typed})
}

// signInForDevice is the page to sign in that leads back.
func (v *visit) signInForDevice(typed string) string {
	return v.to(SignIn) + query(v.to(Device)+codeQuery(typed), "")
}

func codeQuery(typed string) string {
	if typed == "" {
		return ""
	}
	return "?" + url.Values{"user_code": {typed}}.Encode()
}

func (v *visit) askDevice(status int, view deviceView) (err error) {
	keep, action := url.Values{}, Device
	if view.Typed != "" {
		keep.Set("user_code", view.Typed)
	}
	if view.Form = v.token(Device); view.Asked {
		action, view.Form = pageDeviceSay, v.token(sayOf(view.Code))
	}
	if view.frame, err = v.frame(Device, "device.title", keep); err != nil {
		return err
	}
	view.Action, view.Username, view.Initials = v.to(action), v.who.Name, initials(v.who.Name)
	view.Other = v.signInForDevice(view.Typed) + "&again=1"
	return v.show(status, "devicecode.html", view)
}

// deviceCodeSent looks for the device, and asks whether it may.
func (v *visit) deviceCodeSent() error {
	if err := v.sentFrom(Device, "code"); err != nil {
		return err
	}
	if v.who == nil {
		return errExpired
	}
	r, err := v.deviceOf(v.form["code"])
	if err != nil {
		return v.noDevice(err)
	}
	return v.askWhetherDevice(http.StatusOK, r, "")
}

// deviceOf is the device that waits with a code. Every look is counted, right ones too, and so is what comes with an answer: the
// token of a form is made by a cookie of the browser, which whoever guesses has.
func (v *visit) deviceOf(typed string) (authorize.DeviceRequest, error) {
	if after, ok := v.h.c.AllowUserCode(v.r.Context(), v.who); !ok {
		e := *gatehouse.ErrRateLimited
		e.RetryAfter = after
		return authorize.DeviceRequest{}, &e
	}
	return v.h.c.Devices.Device(v.r.Context(), v.who, typed)
}

// noDevice says that no device waits with a code, or that there were too many tries.
func (v *visit) noDevice(err error) error {
	view, status := deviceView{Typed: grant.UserCode(v.form["code"])}, http.StatusUnprocessableEntity
	if gatehouse.CodeOf(err) == codeWrong {
		view.Problem, err = v.language.text("device.wrong")
	} else {
		status, view.Notice, err = v.notNow(err)
	}
	if err != nil {
		return err
	}
	return v.askDevice(status, view)
}

// askWhetherDevice shows the code for comparison, however it came, who asks for what, and from where.
func (v *visit) askWhetherDevice(status int, r authorize.DeviceRequest, problem string) error {
	view := deviceView{Asked: true, Code: grant.UserCode(v.form["code"]), Problem: problem, Client: r.Of.Metadata.Name,
		Scopes: v.scopeLines(r.Scopes), Details: rar.Tell(v.realm.Settings.DetailTypes, r.Details), Resources: r.Resources, From: r.Address, At: moment(r.AskedAt), AtISO: instant(r.AskedAt)}
	if here := gatehouse.AddressFrom(v.r.Context()); here != r.Address {
		view.Here = here
	}
	return v.askDevice(status, view)
}

// sayOf names the form about one code.
func sayOf(code string) string { return pageDeviceSay + " " + code }

// deviceSaid takes what the person says. Nobody allows anything who does not say that the code was compared (RFC 8628 §3.3.1, BCP 247).
func (v *visit) deviceSaid() error {
	typed := v.form["code"]
	if err := v.sentFrom(sayOf(typed), "code", "same", "do"); err != nil {
		return err
	}
	do := v.form["do"]
	if v.who == nil || do != "allow" && do != "deny" {
		return errForm
	}
	r, err := v.deviceOf(typed)
	if err != nil {
		return v.noDevice(err)
	}
	if do == "allow" && v.form["same"] != "yes" {
		problem, err := v.language.text("device.compare")
		if err != nil {
			return err
		}
		return v.askWhetherDevice(http.StatusUnprocessableEntity, r, problem)
	}
	if err := v.h.c.Devices.DecideDevice(v.r.Context(), v.who, typed, do == "allow"); err != nil {
		return v.noDevice(err)
	}
	return v.askDevice(http.StatusOK, deviceView{Allowed: do == "allow", Denied: do == "deny", Client: r.Of.Metadata.Name})
}

// deviceStates are those of devicecode.html.
func deviceStates() []state {
	show := func(status int, view deviceView) func(*visit) error {
		return func(v *visit) error { return v.askDevice(status, view) }
	}
	with := func(key string, set func(view *deviceView, text string)) func(*visit) error {
		return func(v *visit) error {
			text, err := v.language.text(key, wait(7*time.Minute))
			if err != nil {
				return err
			}
			var view deviceView
			set(&view, text)
			return v.askDevice(http.StatusUnprocessableEntity, view)
		}
	}
	asked := deviceView{Asked: true, Code: "WDJB-MJHT", Client: "Saffron on the television", From: "203.0.113.9", At: "2026-11-30 09:12 UTC", AtISO: "2026-11-30T09:12:00Z",
		Scopes: []scopeLine{{Name: "documents:read", Text: "Read your documents"}, {Name: "offline_access", Text: "Act for you while you are away"}}}
	away := asked
	away.Client, away.From, away.Here, away.Resources = "Wilhelmina Featherstonehaugh-Cholmondeley's television set in the living room", "2001:db8:85a3:8d3:1319:8a2e:370:7348", "198.51.100.7",
		[]string{"https://a-very-long-name-of-an-api.subsidiary.saffron-of-the-world.example/v1/documents"}
	return []state{
		{"type", show(http.StatusOK, deviceView{})},
		{"link", show(http.StatusOK, deviceView{Typed: asked.Code})},
		{"wrong", with("device.wrong", func(view *deviceView, text string) { view.Typed, view.Problem = asked.Code, text })},
		{"slow", with("signin.slow", func(view *deviceView, text string) { view.Notice = text })},
		{"ask", show(http.StatusOK, asked)},
		{"elsewhere", show(http.StatusOK, away)},
		{"compare", with("device.compare", func(view *deviceView, text string) { *view = asked; view.Problem = text })},
		{"who-you-are", show(http.StatusOK, deviceView{Asked: true, Code: asked.Code, Client: "Saffron", From: asked.From, At: asked.At, AtISO: asked.AtISO})},
		{"allowed", show(http.StatusOK, deviceView{Allowed: true, Client: asked.Client})},
		{"denied", show(http.StatusOK, deviceView{Denied: true, Client: asked.Client})},
	}
}
