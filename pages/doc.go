// Package pages serves what people see of Gatehouse in a browser: signing in and out,
// and their own account, for each realm.
//
// Every page is whole without a script. Its content policy lets it load the style sheet of
// this package and send forms to this server, and nothing else; where passkeys can be used, one
// script of this package, which asks the browser for them.
// Who may do what is not decided here: passwords and sessions are the use cases of
// other rooms, which this one shows.
package pages
