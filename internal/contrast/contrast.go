// Package contrast tells how well one colour can be read on another (WCAG 2.2, success criterion 1.4.3), and which colours
// of its own a realm may have on the pages.
package contrast

import (
	"encoding/hex"
	"math"
)

// Least is the ratio that text needs at level AA.
const Least = 4.5

// What stands behind text in the colour of a realm, at the worst: the darkest ground of light pages and the lightest of dark
// ones. Text on a button in that colour is farther away still ("hover" and "on-accent" of pages/look/tokens.css).
const (
	Light = "#eae6de"
	Dark  = "#222735"
)

// Ratio is that of two colours, "#rrggbb" each: from 1, the same, to 21, black on white; 0 when one has another form.
func Ratio(a, b string) float64 {
	la, oka := luminance(a)
	lb, okb := luminance(b)
	if !oka || !okb {
		return 0
	}
	return (max(la, lb) + .05) / (min(la, lb) + .05)
}

// luminance is the relative luminance, from 0 to 1 (WCAG 2.2, "relative luminance").
func luminance(colour string) (float64, bool) {
	if len(colour) != 7 || colour[0] != '#' {
		return 0, false
	}
	c, err := hex.DecodeString(colour[1:])
	if err != nil {
		return 0, false
	}
	linear := func(b byte) float64 {
		if v := float64(b) / 255; v > .04045 {
			return math.Pow((v+.055)/1.055, 2.4)
		} else {
			return v / 12.92
		}
	}
	return .2126*linear(c[0]) + .7152*linear(c[1]) + .0722*linear(c[2]), true
}
