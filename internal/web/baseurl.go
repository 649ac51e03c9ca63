package web

import (
	"errors"
	"net/url"
	"strconv"
	"strings"
)

// CheckBaseURL accepts an absolute http or https URL that can be a base: no query, no
// fragment, no user, no trailing slash, and a port, where there is one, that can be
// reached; 0 stands for one that is not known yet. No error shows the URL, which may
// hold a password.
func CheckBaseURL(s string) error {
	u, err := url.Parse(s)
	switch {
	case s == "":
		return errors.New("needed")
	case err != nil && strings.Contains(err.Error(), "invalid port"):
		return errors.New("the port is a number, as in http://127.0.0.1:3000")
	case err != nil || (u.Scheme != "https" && u.Scheme != "http") || u.Hostname() == "":
		return errors.New("an absolute http:// or https:// URL")
	case u.RawQuery != "" || u.Fragment != "" || u.User != nil || u.ForceQuery || strings.HasSuffix(s, "#"):
		return errors.New("no query, fragment or user name")
	case strings.HasSuffix(s, "/"):
		return errors.New("no trailing slash")
	case strings.HasSuffix(u.Host, ":"):
		return errors.New("no colon without a port")
	}
	if port := u.Port(); port != "" {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || port != strconv.FormatUint(n, 10) {
			return errors.New("a port from 1 to 65535")
		}
	}
	return nil
}
