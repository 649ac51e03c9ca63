// Package qr draws QR codes, here and nowhere else: what is in one is often a secret, and whoever draws it reads it.
//
// It must never import net/http, or anything of this module.
package qr

import (
	"strconv"
	"strings"

	"rsc.io/qr"
)

// quiet is how many white modules stand around a code (ISO/IEC 18004 §5.3.8).
const quiet = 4

// SVG draws text as an SVG image without size, script, style or reference: one path, black on white. Text of more than
// some two thousand bytes is an error.
func SVG(text string) (string, error) {
	c, err := qr.Encode(text, qr.M)
	if err != nil {
		return "", err
	}
	side := strconv.Itoa(c.Size + 2*quiet)
	var b strings.Builder
	b.WriteString(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ` + side + ` ` + side + `" shape-rendering="crispEdges"><path fill="#fff" d="M0 0h` +
		side + `v` + side + `H0z"/><path fill="#000" d="`)
	for y := range c.Size {
		for x := 0; x < c.Size; x++ {
			from := x
			for c.Black(x, y) {
				x++
			}
			if n := strconv.Itoa(x - from); x > from {
				b.WriteString("M" + strconv.Itoa(from+quiet) + " " + strconv.Itoa(y+quiet) + "h" + n + "v1h-" + n + "z")
			}
		}
	}
	b.WriteString(`"/></svg>`)
	return b.String(), nil
}
