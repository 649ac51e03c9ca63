package pages

import "strings"

// deviceOf is what a browser calls itself and what it runs on, as people know them, from what it says in User-Agent (RFC 9110
// §10.1.5); "" is not known. It is for people to recognise their own browsers by, and nothing is decided by it: anybody can say
// anything.
func deviceOf(userAgent string) (browser, system string) {
	for _, b := range [...][2]string{ // each says also what it wants to be taken for, which stands below it
		{"Edg", "Edge"}, {"OPR/", "Opera"}, {"SamsungBrowser/", "Samsung Internet"}, {"Firefox/", "Firefox"}, {"FxiOS/", "Firefox"},
		{"CriOS/", "Chrome"}, {"Chrome/", "Chrome"}, {"Version/", "Safari"},
	} {
		if strings.Contains(userAgent, b[0]) {
			browser = b[1]
			break
		}
	}
	for _, s := range [...][2]string{
		{"iPhone", "iPhone"}, {"iPad", "iPad"}, {"Android", "Android"}, {"Windows", "Windows"}, {"Mac OS X", "macOS"}, {"CrOS", "ChromeOS"}, {"Linux", "Linux"},
	} {
		if strings.Contains(userAgent, s[0]) {
			system = s[1]
			break
		}
	}
	return browser, system
}
