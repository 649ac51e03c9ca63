package egress

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
)

// Post sends a form to address and returns the status and the body of the answer, whatever the
// status is; a redirect is not followed. Errors are *gatehouse.Error.
func (c *Client) Post(ctx context.Context, address string, lines http.Header, form url.Values) (status int, body []byte, err error) {
	lines = lines.Clone()
	lines.Set("Content-Type", "application/x-www-form-urlencoded")
	res, err := c.do(ctx, c.http, http.MethodPost, address, lines, strings.NewReader(form.Encode()))
	if err != nil {
		return 0, nil, err
	}
	defer res.Body.Close()
	body, err = c.bounded(res)
	return res.StatusCode, body, err
}

// Get asks address with these header lines and returns the status and the body of the answer, whatever the
// status is; a redirect is not followed. Errors are *gatehouse.Error.
func (c *Client) Get(ctx context.Context, address string, lines http.Header) (status int, body []byte, err error) {
	res, err := c.do(ctx, c.http, http.MethodGet, address, lines, nil)
	if err != nil {
		return 0, nil, err
	}
	defer res.Body.Close()
	body, err = c.bounded(res)
	return res.StatusCode, body, err
}

// bounded reads a body of at most the size that is allowed.
func (c *Client) bounded(res *http.Response) ([]byte, error) {
	// One octet more than allowed tells "just fits" from "too large"; the bound
	// counts decompressed octets, so a small answer cannot swell.
	body, err := io.ReadAll(io.LimitReader(res.Body, c.maxBytes+1))
	if err != nil {
		return nil, errFailed.With(err)
	}
	if int64(len(body)) > c.maxBytes {
		return nil, errFailed.With(errors.New("the answer is too large"))
	}
	return body, nil
}
