import org.openapitools.client.ApiClient;
import org.openapitools.client.ApiException;
import org.openapitools.client.api.RealmsApi;
import org.openapitools.client.api.SystemApi;
import org.openapitools.client.model.RealmPatch;
import org.openapitools.client.model.RealmPatchSettings;

/** Uses the client that OpenAPI Generator makes of the management API's document. */
public class Call {
  public static void main(String[] args) throws Exception {
    ApiClient client = new ApiClient();
    client.updateBaseUri(System.getenv("GATEHOUSE_URL"));
    client.setRequestInterceptor(r -> r.header("Authorization", "Bearer " + System.getenv("GATEHOUSE_TOKEN")));
    var me = new SystemApi(client).me();
    var patch = new RealmPatch().title("by java").settings(new RealmPatchSettings().accessTokenTtl("5m").audience(null));
    var realm = new RealmsApi(client).updateRealm("main", patch, null, null);
    try {
      new RealmsApi(client).getRealm("none");
      throw new IllegalStateException("a realm that is not there was found");
    } catch (ApiException e) {
      String code = client.getObjectMapper().readTree(e.getResponseBody()).get("code").asText();
      System.out.println(me.getKind() + " " + realm.getTitle() + " " + code);
    }
  }
}
