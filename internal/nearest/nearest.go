// Package nearest guesses which of some names somebody meant who wrote another one.
package nearest

import "strings"

// Name returns the one of names that somebody who wrote s may have meant, or "".
func Name(s string, names []string) string {
	best, distance := "", 3 // more mistakes than two are another word
	for _, n := range names {
		if d := edits(strings.ToLower(s), n); d < distance && d < len(n) {
			best, distance = n, d
		}
	}
	return best
}

// edits counts the insertions, deletions, replacements and swaps of neighbours
// between two words (optimal string alignment distance).
func edits(a, b string) int {
	if len(a) > 64 || len(b) > 64 {
		return 64
	}
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			replace := 1
			if a[i-1] == b[j-1] {
				replace = 0
			}
			rows[i][j] = min(rows[i-1][j]+1, rows[i][j-1]+1, rows[i-1][j-1]+replace)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				rows[i][j] = min(rows[i][j], rows[i-2][j-2]+1)
			}
		}
	}
	return rows[len(a)][len(b)]
}
