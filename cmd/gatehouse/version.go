package main

import (
	"fmt"
	"io"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// versionCommand says what this program is, for reports of errors.
func (a *app) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version of this program",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			v, platform := buildVersion(), runtime.GOOS+"/"+runtime.GOARCH
			return a.print(object{"version": v, "go": runtime.Version(), "platform": platform}, func(w io.Writer) {
				fmt.Fprintf(w, "gatehouse %s, %s, %s\n", v, runtime.Version(), platform)
			})
		},
	}
}

// buildVersion is what the linker was given, or, for a program made by go install,
// what Go knows of the module.
func buildVersion() string {
	if version != "dev" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	return version
}
