// Package docs holds the documentation, of which the program carries the pages
// about errors: every problem that is answered links to its page, on the very
// server that answered.
//
// It must never import anything of this module.
package docs

import "embed"

// Errors holds errors/<code>.md, a page for each stable code.
//
//go:embed errors/*.md
var Errors embed.FS // read-only
