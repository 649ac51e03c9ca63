// Package attacks holds no code of the product, only its tests from the
// attacker's side: one test for each weakness that APIs are known to have, by
// name, over real sockets, against the whole product as `gatehouse demo` runs it.
//
// Every test shows two things: that the attack is refused, and that its
// legitimate twin, which differs in nothing but the attack, passes. So no test
// can pass because everything is refused.
//
// Every test but one has been seen to fail against a build that was weakened on
// purpose; testdata/mutants holds those weakenings, scripts/mutants applies them
// one after another and complains of each that no test notices. Those that are
// not in this table are for tests elsewhere. TestRapidReset has no number: what it
// relies on is inside net/http, and no line of ours switches it off. A number is
// the patch that the test kills:
//
//	TestAlgNone                        01
//	TestAlgorithmConfusion             02
//	TestSignatureStrippedOrAltered     03
//	TestPsychicSignature               03, 04
//	TestKidInjection                   05
//	TestEmbeddedKey                    06
//	TestKeyAddress                     06
//	TestCertificateInHeader            06
//	TestWeakSecret                     07
//	TestExpired                        08
//	TestNotYetValid                    09
//	TestWrongAudience                  10
//	TestWrongIssuer                    11
//	TestWrongKindOfToken               12
//	TestTokenInURL                     13
//	TestTwoCredentials                 14
//	TestCrossRealm                     15
//	TestTestKeyOnLive                  16
//	TestOthersDocument                 17, 33
//	TestInAnothersName                 17
//	TestPartialScope                   18
//	TestMethodOverride                 19
//	TestPathTricks                     20
//	TestUnknownRoute                   21
//	TestIdentityHeaders                22
//	TestHopByHop                       23
//	TestUpgradeSmuggling               24
//	TestHeaderInjection                25
//	TestOversized                      26
//	TestRevokedEverywhere              27, 28
//	TestStolenRefreshToken             27, 29
//	TestAdminAsViewer                  30
//	TestAdminOfAnotherRealm            31
//	TestVerboseErrors                  32
//	TestHiddenLooksAbsent              17, 33
//	TestForwardAuthFromStranger        34
//	TestEnumeration                    35
//	TestBruteForce                     36
//	TestStuffingFromOneAddress         36
//	TestStuffingOneAccount             36, 37
//	TestSSRF                           38
//	TestRequestSmuggling               39
//	TestRequestSmugglingBehindNginx    21
//	TestSlowHeaders                    40
//	TestSlowBody                       44, 45
//	TestContinuationFlood              48
//	TestStreamFlood                    49
//	TestUnreadAnswers                  850
//	TestGuardKnowsOnlyItsIssuer        03
//	TestStolenCertificateBoundToken    RFC 8705 §3
//	TestForgedCertificateLine          RFC 9440 §4
package attacks
