package qr

import (
	"regexp"
	"strconv"
	"strings"
	"testing"

	"rsc.io/qr"
)

// TestDrawn: the image has the modules of the code where they belong, with white around, and nothing but two paths: no size, no
// script, no address.
func TestDrawn(t *testing.T) {
	const text = "otpauth://totp/Gatehouse:bob?secret=LMOOC66Y3AYDN42HOBHALRXVLJZB57NM&issuer=Gatehouse&algorithm=SHA1&digits=6&period=30"
	image, err := SVG(text)
	if err != nil {
		t.Fatal(err)
	}
	c, err := qr.Encode(text, qr.M)
	if err != nil {
		t.Fatal(err)
	}
	drawn := map[[2]int]bool{}
	_, path, _ := strings.Cut(image, `fill="#000"`)
	for _, m := range regexp.MustCompile(`M(\d+) (\d+)h(\d+)v1h-(\d+)z`).FindAllStringSubmatch(path, -1) {
		var n [5]int
		for i := 1; i < 5; i++ {
			n[i], _ = strconv.Atoi(m[i])
		}
		for x := range n[3] {
			drawn[[2]int{n[1] + x, n[2]}] = true
		}
		if n[3] != n[4] {
			t.Errorf("%s is no rectangle", m[0])
		}
	}
	for y := -quiet; y < c.Size+quiet; y++ {
		for x := -quiet; x < c.Size+quiet; x++ {
			if drawn[[2]int{x + quiet, y + quiet}] != c.Black(x, y) {
				t.Fatalf("the module at %d, %d", x, y)
			}
		}
	}
	if strings.Count(image, "<") != 4 || strings.Count(image, "http") != 1 || len(image) > 20<<10 {
		t.Errorf("%d bytes: %.300s", len(image), image)
	}
	if _, err := SVG(strings.Repeat("x", 3000)); err == nil {
		t.Error("three thousand bytes in a code")
	}
}
