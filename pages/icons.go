package pages

import (
	"fmt"

	"github.com/gatehouse-auth/gatehouse/internal/markup"
)

// icons are the drawings of the look, on a grid of 20, without what is around them.
var icons = map[string]string{
	"alert": `<path d="M10 3.2 1.9 16.8h16.2zM10 8.3v4M10 14.5h.01"/>`,
	"check": `<path d="m4 10.7 4 4 8.2-9"/>`,
	"clock": `<circle cx="10" cy="10" r="7.3"/><path d="M10 5.6V10l3 2"/>`,
	"code":  `<path d="m6.8 6-4 4 4 4M13.2 6l4 4-4 4M11.4 4.2 8.6 15.8"/>`,
	"down":  `<path d="m5.5 7.8 4.5 4.5 4.5-4.5"/>`,
	"globe": `<circle cx="10" cy="10" r="7.3"/><path d="M2.7 10h14.6M10 2.7c2.3 2 3.3 4.4 3.3 7.3s-1 5.3-3.3 7.3c-2.3-2-3.3-4.4-3.3-7.3s1-5.3 3.3-7.3z"/>`,
	"key":   `<circle cx="6.5" cy="13.5" r="3.7"/><path d="m9.2 10.8 7.3-7.3M13 7l3 3M15.2 4.8l2 2"/>`,
	"lock":  `<path d="M4.2 9h11.6v7.8H4.2zM6.7 9V6.3a3.3 3.3 0 0 1 6.6 0V9"/>`,
	"mail":  `<path d="M2.7 4.7h14.6v10.6H2.7zM2.7 5.2l7.3 5.6 7.3-5.6"/>`,
	"out":   `<path d="M8 3.5H4.5v13H8M8 10h9M13.5 6.5 17 10l-3.5 3.5"/>`,
	"phone": `<path d="M6 2.7h8v14.6H6zM9.2 14.8h1.6"/>`,
	"right": `<path d="m7.8 5.5 4.5 4.5-4.5 4.5"/>`,
}

// logo is drawn on a grid of 32.
const logo = `<svg class="i logo brand" viewBox="0 0 32 32" aria-hidden="true"><path fill="none" stroke="currentColor" stroke-width="3" d="M4.5 28.5V15.5a11.5 11.5 0 0 1 23 0v13"/><path fill="none" stroke="currentColor" stroke-width="1.4" d="M8.7 28.5V15.5a7.3 7.3 0 0 1 14.6 0v13"/><path class="lit" d="M11.8 28.5V16.2a4.2 4.2 0 0 1 8.4 0v12.3z"/><path stroke="currentColor" stroke-width="2" d="M1 29.2h30"/></svg>`

// icon is what {{icon "name"}} writes.
func icon(args ...any) (any, error) {
	name, _ := args[0].(string)
	if name == "logo" {
		return markup.HTML(logo), nil
	}
	d, ok := icons[name]
	if !ok {
		return nil, fmt.Errorf("pages: there is no icon %q", name)
	}
	flip := ""
	if name == "right" || name == "out" {
		flip = " flip"
	}
	return markup.HTML(`<svg class="i` + flip + `" viewBox="0 0 20 20" aria-hidden="true">` + d + `</svg>`), nil
}
