package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// libraryFigure is one implementation's work on a token in process.
type libraryFigure struct {
	Algorithm string  `json:"alg"`
	Work      string  `json:"work"` // verify or sign
	Who       string  `json:"who"`  // "primitive" is the standard library's bare operation
	Micros    float64 `json:"us"`
}

// partFigure is a benchmark of a part of the request path.
type partFigure struct {
	Name   string  `json:"name"`
	Nanos  float64 `json:"ns"`
	Allocs int     `json:"allocs"`
}

// readLibraries reads one libraryFigure per line.
func readLibraries(path string) ([]libraryFigure, error) {
	var out []libraryFigure
	err := eachLine(path, func(line string) error {
		var f libraryFigure
		if err := json.Unmarshal([]byte(line), &f); err != nil {
			return err
		}
		out = append(out, f)
		return nil
	})
	return out, err
}

var benchLine = regexp.MustCompile(`^Benchmark(\S+?)(?:-\d+)?\s+\d+\s+([0-9.]+) ns/op(?:.*?\s(\d+) allocs/op)?`)

// readGoBench reads what `go test -bench` prints. A benchmark is named by its
// package's last element and its own name; of several turns the least counts.
func readGoBench(path string) ([]partFigure, error) {
	var out []partFigure
	pkg := ""
	err := eachLine(path, func(line string) error {
		if p, ok := strings.CutPrefix(line, "pkg: "); ok {
			pkg = p[strings.LastIndexByte(p, '/')+1:]
			return nil
		}
		m := benchLine.FindStringSubmatch(line)
		if m == nil {
			return nil
		}
		ns, err := strconv.ParseFloat(m[2], 64)
		if err != nil {
			return err
		}
		allocs, _ := strconv.Atoi(m[3])
		f := partFigure{Name: pkg + "/" + m[1], Nanos: ns, Allocs: allocs}
		if i := slices.IndexFunc(out, func(o partFigure) bool { return o.Name == f.Name }); i >= 0 {
			out[i].Nanos = min(out[i].Nanos, ns)
			return nil
		}
		out = append(out, f)
		return nil
	})
	return out, err
}

// eachLine reads a file line by line; no path is an empty file.
func eachLine(path string, do func(string) error) error {
	if path == "" {
		return nil
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	s := bufio.NewScanner(f)
	for n := 1; s.Scan(); n++ {
		if line := strings.TrimSpace(s.Text()); line != "" {
			if err := do(line); err != nil {
				return fmt.Errorf("%s:%d: %w", path, n, err)
			}
		}
	}
	return s.Err()
}
