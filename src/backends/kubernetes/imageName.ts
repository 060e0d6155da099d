import { executorSettings } from '../../core/errors.ts';
import { runImage } from '../../core/imageExecutor.ts';
import type { KubernetesExecutor } from '../../core/kubernetesExecutor.ts';
import type { Finding } from '../../core/preflight/finding.ts';

/** Of an image, as the specification of its distribution has it. */
const host = /^(localhost|[a-z0-9-]+(\.[a-z0-9-]+)+|[a-z0-9.-]+:\d+|\[[0-9a-f:]+\](:\d+)?)$/i;
const path = /^[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(\/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*$/;
const tail = /^([^@]*?)(?::([\w][\w.-]{0,127}))?(?:@(sha256:[0-9a-f]{64}))?$/;

interface ImageName {
  /** Absent: Docker Hub, or what the nodes have. */
  readonly registry?: string;
  readonly tag?: string;
  readonly digest?: string;
}

/** The parts of an image's name; undefined if it is none. */
export function imageName(image: string): ImageName | undefined {
  const slash = image.indexOf('/');
  const first = slash < 0 ? '' : image.slice(0, slash);
  const registry = host.test(first) ? first : undefined;
  const [, name = '', tag, digest] = tail.exec(registry ? image.slice(slash + 1) : image) ?? [];
  if (!path.test(name)) return undefined;
  return { ...(registry && { registry }), ...(tag && { tag }), ...(digest && { digest }) };
}

/** How an image of this machine gets to the nodes of a cluster on it, by what its tool calls the context. */
function loadCommand(context: string, image: string): string | undefined {
  const [, tool, name] = /^(kind|k3d)-(.+)$/.exec(context) ?? [];
  if (tool === 'kind') return `kind load docker-image ${image} --name ${name}`;
  if (tool === 'k3d') return `k3d image import ${image} -c ${name}`;
  return context === 'minikube' ? `minikube image load ${image}` : undefined;
}

/** What can be said of an image by its name alone. */
export function judgeImage(
  { image, image_pull_policy: policy }: Pick<KubernetesExecutor, 'image' | 'image_pull_policy'>,
  context: string,
): Finding[] {
  if (image === runImage)
    return [
      { severity: 'info', message: 'The image is that of the run: which one is known only when it starts' },
    ];
  const name = imageName(image);
  if (!name)
    return [
      {
        severity: 'error',
        message: `“${image}” is no name of an image`,
        hint: 'It is such as “registry.example/team/my-image:1”, in lower-case letters.',
        actions: [executorSettings],
      },
    ];
  const isLatest = name.digest === undefined && (name.tag === undefined || name.tag === 'latest');
  const findings: Finding[] = [];
  const command = name.registry === undefined ? loadCommand(context, image) : undefined;
  if (command !== undefined) {
    findings.push({
      severity: 'info',
      message: `If the image ${image} is only on this machine, the nodes of ${context} have to be given it`,
      hint: `${command}${isLatest && policy !== 'IfNotPresent' && policy !== 'Never' ? ', and image_pull_policy "IfNotPresent": nodes ask a registry for “latest” otherwise' : ''}`,
      actions: [{ kind: 'copy', label: 'Copy Command', text: command }],
    });
  } else if (name.registry === undefined && !image.includes('/')) {
    findings.push({
      severity: 'info',
      message: `The image ${image} names no registry: nodes that do not have it ask Docker Hub`,
    });
  }
  if (isLatest && policy === 'IfNotPresent') {
    findings.push({
      severity: 'info',
      message: `Nodes that have a “latest” of ${image.replace(/:latest$/, '')} keep it, however old: image_pull_policy is "IfNotPresent"`,
      hint: 'A tag of its own for each version makes all workers the same.',
    });
  }
  return findings;
}
