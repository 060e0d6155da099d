// node scripts/kubernetes-bed.mjs COMMAND …: runs it beside a Kubernetes of its own, which has the test images.
import { runBeside } from './lib/beside.mjs';
import { ensureNodeImages, kubernetesEnvironment, withKubernetes } from './lib/kubernetes.mjs';

await runBeside(withKubernetes, async (cluster) => {
  await ensureNodeImages(cluster);
  return { env: kubernetesEnvironment(cluster), folder: cluster.programs };
});
