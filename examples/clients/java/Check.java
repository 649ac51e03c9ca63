import com.auth0.jwk.JwkProviderBuilder;
import com.auth0.jwt.JWT;
import com.auth0.jwt.algorithms.Algorithm;
import com.nimbusds.jose.JOSEObjectType;
import com.nimbusds.jose.JWSAlgorithm;
import com.nimbusds.jose.jwk.source.JWKSourceBuilder;
import com.nimbusds.jose.proc.DefaultJOSEObjectTypeVerifier;
import com.nimbusds.jose.proc.JWSVerificationKeySelector;
import com.nimbusds.jose.proc.SecurityContext;
import com.nimbusds.jwt.JWTClaimsSet;
import com.nimbusds.jwt.proc.DefaultJWTClaimsVerifier;
import com.nimbusds.jwt.proc.DefaultJWTProcessor;
import io.jsonwebtoken.Jwts;
import io.jsonwebtoken.security.Jwks;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.net.URI;
import java.net.URL;
import java.nio.charset.StandardCharsets;
import java.security.interfaces.ECPublicKey;
import java.util.Set;
import org.jose4j.jwa.AlgorithmConstraints;
import org.jose4j.jwk.HttpsJwks;
import org.jose4j.jwt.consumer.JwtConsumerBuilder;
import org.jose4j.keys.resolvers.HttpsJwksVerificationKeyResolver;
import org.springframework.security.oauth2.jose.jws.SignatureAlgorithm;
import org.springframework.security.oauth2.jwt.JwtValidators;
import org.springframework.security.oauth2.jwt.NimbusJwtDecoder;

/**
 * Reads one access token a line, and says what the library named in the first argument makes of it.
 * Each method holds the lines that docs/clients.md gives for its library, and nothing that checks more.
 */
public final class Check {
    private static final String ISSUER = System.getenv("ISSUER");
    private static final String AUDIENCE = System.getenv("AUDIENCE");
    private static final String JWKS = ISSUER + "/.well-known/jwks.json";

    /** What one library does with a token: anything thrown is a refusal. */
    interface Checker {
        void check(String token) throws Exception;
    }

    static Checker nimbus() throws Exception {
        var processor = new DefaultJWTProcessor<SecurityContext>();
        var keys = JWKSourceBuilder.create(new URL(JWKS)).build();
        processor.setJWSTypeVerifier(new DefaultJOSEObjectTypeVerifier<>(new JOSEObjectType("at+jwt")));
        processor.setJWSKeySelector(new JWSVerificationKeySelector<>(JWSAlgorithm.ES256, keys));
        processor.setJWTClaimsSetVerifier(new DefaultJWTClaimsVerifier<>(
                AUDIENCE, new JWTClaimsSet.Builder().issuer(ISSUER).build(), Set.of("exp", "sub")));
        return token -> processor.process(token, null);
    }

    static Checker spring() {
        var decoder = NimbusJwtDecoder.withJwkSetUri(JWKS).jwsAlgorithm(SignatureAlgorithm.ES256).validateType(false).build();
        decoder.setJwtValidator(JwtValidators.createAtJwtValidator()
                .issuer(ISSUER).audience(AUDIENCE).clientId(System.getenv("CLIENT_ID")).build());
        return decoder::decode;
    }

    static Checker auth0() throws Exception {
        var keys = new JwkProviderBuilder(new URL(JWKS)).build();
        return token -> {
            var key = (ECPublicKey) keys.get(JWT.decode(token).getKeyId()).getPublicKey();
            JWT.require(Algorithm.ECDSA256(key)).withIssuer(ISSUER).withAudience(AUDIENCE).build().verify(token);
        };
    }

    static Checker jjwt() throws Exception {
        String text;
        try (var in = URI.create(JWKS).toURL().openStream()) {
            text = new String(in.readAllBytes(), StandardCharsets.UTF_8);
        }
        var keys = Jwks.setParser().build().parse(text).getKeys();
        var parser = Jwts.parser().requireIssuer(ISSUER).requireAudience(AUDIENCE).keyLocator(header -> {
            var kid = String.valueOf(header.get("kid"));
            return keys.stream().filter(key -> kid.equals(key.getId())).findFirst().orElseThrow().toKey();
        }).build();
        return parser::parseSignedClaims;
    }

    static Checker jose4j() {
        var consumer = new JwtConsumerBuilder()
                .setVerificationKeyResolver(new HttpsJwksVerificationKeyResolver(new HttpsJwks(JWKS)))
                .setJwsAlgorithmConstraints(AlgorithmConstraints.ConstraintType.PERMIT, "ES256")
                .setExpectedIssuer(ISSUER).setExpectedAudience(AUDIENCE).setRequireExpirationTime().build();
        return consumer::processToClaims;
    }

    public static void main(String[] arguments) throws Exception {
        Checker checker = switch (arguments[0]) {
            case "nimbus" -> nimbus();
            case "spring" -> spring();
            case "java-jwt" -> auth0();
            case "jjwt" -> jjwt();
            case "jose4j" -> jose4j();
            default -> throw new IllegalArgumentException("no such library: " + arguments[0]);
        };
        var tokens = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String token; (token = tokens.readLine()) != null; ) {
            try {
                checker.check(token);
                System.out.println("accepted");
            } catch (Exception problem) {
                var why = String.valueOf(problem.getMessage()).replace('\n', ' ');
                System.out.println("refused " + problem.getClass().getSimpleName() + " " + why.substring(0, Math.min(200, why.length())));
            }
        }
    }
}
