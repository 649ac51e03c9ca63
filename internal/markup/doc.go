// Package markup fills HTML templates that are written in the syntax of
// html/template, of which it knows a part: fields, if, range, template, and functions
// with fields and texts as arguments.
//
// Every value is escaped. Where values may stand is decided when templates are read: in
// text, and in double-quoted attributes that run no script; an attribute that holds an
// address takes paths of this server alone. So nothing depends on what the value is.
//
// html/template would do the same and more. It calls methods by name, for which the
// linker must keep every method of the whole program: two megabytes.
package markup
