/** What talking to an API server takes. A bundle of its own, as it is larger than all the rest. */
export {
  ApisApi,
  AppsV1Api,
  AuthenticationV1Api,
  AuthorizationV1Api,
  BatchV1Api,
  CoreV1Api,
  CustomObjectsApi,
  dumpYaml,
  KubeConfig,
  KubernetesObjectApi,
  loadYaml,
  Observable,
  PatchStrategy,
  VersionApi,
  Watch,
} from '@kubernetes/client-node';
