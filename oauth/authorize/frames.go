package authorize

import (
	"context"
	"net/url"
	"slices"
	"strings"

	"github.com/gatehouse-auth/gatehouse/oauth/client"
)

// maxFrames bounds what a browser loads for one person who signs out.
const maxFrames = 20

// Frames are what the browser of a person who signs out loads, so that clients end what they keep in it (OpenID Connect Front-Channel
// Logout §3).
type Frames struct {
	URLs []string
	// Origins are those of URLs, for the content policy of the page (frame-src).
	Origins string
}

// Frames are those of the clients that were told of a session, and have a page for its end.
func (s *Service) Frames(ctx context.Context, realm, session string) (out Frames, err error) {
	listeners, err := s.c.Listeners(ctx, realm, session)
	if err != nil {
		return out, err
	}
	var origins []string
	for _, c := range listeners {
		uri := c.Metadata.FrontchannelURI
		if uri == "" || c.Disabled || len(out.URLs) == maxFrames {
			continue
		}
		sep := "?"
		if strings.Contains(uri, "?") { // what was registered stays as it is
			sep = "&"
		}
		out.URLs = append(out.URLs, uri+sep+"iss="+url.QueryEscape(s.c.Issuer(realm))+"&sid="+url.QueryEscape(session))
		if at := client.Origin(uri); !slices.Contains(origins, at) {
			origins = append(origins, at)
		}
	}
	out.Origins = strings.Join(origins, " ")
	return out, nil
}
