#!/usr/bin/env bash
# Nimbus JOSE+JWT 10.10, told to expect access tokens of RFC 9068, refuses those
# whose "typ" is written out as application/at+jwt.
#
# A good engineer expects both forms to pass: RFC 9068 §4 names "at+jwt" and
# "application/at+jwt" as the two values to accept, and RFC 7515 §4.1.9 says that the
# short form stands for the long one. DefaultJOSEObjectTypeVerifier compares text
# (letter case aside), so it must be given both types. Gatehouse writes at+jwt.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
cat > pom.xml <<'POM'
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>finding</groupId><artifactId>finding</artifactId><version>0</version>
  <dependencies>
    <dependency><groupId>com.nimbusds</groupId><artifactId>nimbus-jose-jwt</artifactId><version>10.10</version></dependency>
  </dependencies>
</project>
POM
cat > Finding.java <<'JAVA'
import com.nimbusds.jose.*;
import com.nimbusds.jose.crypto.MACSigner;
import com.nimbusds.jose.jwk.source.ImmutableSecret;
import com.nimbusds.jose.proc.*;
import com.nimbusds.jwt.*;
import com.nimbusds.jwt.proc.DefaultJWTProcessor;

public final class Finding {
    public static void main(String[] arguments) throws Exception {
        byte[] secret = "only-for-this-demonstration-32-bytes".getBytes();
        var processor = new DefaultJWTProcessor<SecurityContext>();
        processor.setJWSKeySelector(new JWSVerificationKeySelector<>(JWSAlgorithm.HS256, new ImmutableSecret<>(secret)));
        processor.setJWSTypeVerifier(new DefaultJOSEObjectTypeVerifier<>(new JOSEObjectType("at+jwt")));
        for (String typ : new String[] {"at+jwt", "AT+JWT", "application/at+jwt"}) {
            var token = new SignedJWT(new JWSHeader.Builder(JWSAlgorithm.HS256).type(new JOSEObjectType(typ)).build(),
                    new JWTClaimsSet.Builder().subject("u").build());
            token.sign(new MACSigner(secret));
            try {
                processor.process(token.serialize(), null);
                System.out.println(typ + ": accepted");
            } catch (BadJOSEException refusal) {
                System.out.println(typ + ": " + refusal.getMessage());
            }
        }
    }
}
JAVA
mvn -q -B dependency:copy-dependencies -DoutputDirectory=lib > build 2>&1 || { cat build; exit 1; }
java -cp 'lib/*' Finding.java > seen
cat > want <<'WANT'
at+jwt: accepted
AT+JWT: accepted
application/at+jwt: JOSE header typ (type) application/at+jwt not allowed
WANT
cat seen
diff want seen
