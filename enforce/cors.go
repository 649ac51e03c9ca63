package enforce

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/net/http/httpguts"

	"github.com/gatehouse-auth/gatehouse/internal/web"
)

// CORS says which browser origins may call.
type CORS struct {
	Origins     []string      `json:"origins" required:"true" doc:"Exact origins: https://app.example; '*' only without credentials."`
	Methods     []string      `json:"methods,omitempty" doc:"Methods beyond GET, HEAD and POST."`
	Headers     []string      `json:"headers,omitempty" doc:"Request headers that scripts may set."`
	Expose      []string      `json:"expose,omitempty" doc:"Response headers that scripts may read."`
	Credentials bool          `json:"credentials,omitempty" doc:"Allow credentials; needs exact origins."`
	MaxAge      time.Duration `json:"max_age,omitempty" minimum:"0s" doc:"How long a preflight may be cached."`
}

// nobody reports that a route has no origins on purpose, where every other route
// may have some.
func (c *CORS) nobody() bool {
	return len(c.Origins)+len(c.Methods)+len(c.Headers)+len(c.Expose) == 0 && !c.Credentials && c.MaxAge == 0
}

func checkCORS(c *compiled) error {
	if c.CORS != nil && c.CORS.nobody() {
		c.CORS = nil
	}
	if c.CORS == nil {
		return nil
	}
	if err := c.CORS.Validate(); err != nil {
		return fmt.Errorf("cors: %w", err)
	}
	return nil
}

// Validate returns everything by which no browser could ever meet the rule, or
// that would let any site act as the user. Nil is no rule.
func (c *CORS) Validate() error {
	if c == nil || c.nobody() {
		return nil
	}
	var wrong []string
	add := func(format string, args ...any) { wrong = append(wrong, fmt.Sprintf(format, args...)) }
	if len(c.Origins) == 0 {
		add("it names no origin")
	}
	for _, o := range c.Origins {
		switch meant, ok := web.Origin(o); {
		case o == "*" && c.Credentials:
			add("every origin with credentials would let any site act as the user")
		case o == "*" || ok:
		case meant != "":
			add("%q is never what a browser sends: write %s", o, meant)
		default:
			add("%q is not an exact origin such as https://app.example", o)
		}
	}
	for _, m := range c.Methods {
		if !web.ServableMethod(m) {
			add("%q is no method: name each, in upper case", m)
		}
	}
	c.validateNames("headers", c.Headers, add)
	c.validateNames("expose", c.Expose, add)
	if c.MaxAge < 0 || c.MaxAge%time.Second != 0 {
		add("max_age: whole seconds")
	}
	if len(wrong) == 0 {
		return nil
	}
	return errors.New(strings.Join(wrong, "; "))
}

func (c *CORS) validateNames(what string, names []string, add func(format string, args ...any)) {
	for _, name := range names {
		if name == "*" && c.Credentials {
			add("%s: with credentials, browsers take \"*\" for a header of that name: name each", what)
		} else if name != "*" && !httpguts.ValidHeaderFieldName(name) {
			add("%s: %q is no name of a header", what, name)
		}
	}
}
