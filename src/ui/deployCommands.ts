import * as vscode from 'vscode';
import { deployedScheduler } from '../backends/kubernetes/deployment/clients.ts';
import {
  type Deployments,
  type Exported,
  type ExportForm,
  exportForms,
  type PlannedDeployment,
} from '../backends/kubernetes/deployment/deployments.ts';
import { warningsOf } from '../backends/kubernetes/deployment/plan.ts';
import {
  type DeploymentOptions,
  nameFrom,
  nameProblem,
  namesOf,
} from '../backends/kubernetes/deployment/shape.ts';
import type { ObjectName } from '../backends/kubernetes/deployment/store.ts';
import type { ApiChoice } from '../backends/kubernetes/kubernetesApi.ts';
import { UserError } from '../core/errors.ts';
import { describeExecutor, plural } from '../core/executor.ts';
import type { KubernetesExecutor } from '../core/kubernetesExecutor.ts';
import { type PodScheduler, podKey } from '../core/podScheduler.ts';
import type { Store } from '../core/store.ts';
import type { TreeNode } from '../core/tree.ts';
import type { Attachments } from '../runs/attachments.ts';
import type { AttachCommands } from './attachCommands.ts';
import { requireTrust } from './flowCommands.ts';
import { pickKubernetesExecutor } from './picks.ts';
import { withLateProgress } from './progress.ts';
import { TextDocuments } from './textDocuments.ts';

export interface DeployCommandsOptions {
  readonly store: Store;
  readonly deployments: Deployments;
  readonly attach: AttachCommands;
  readonly attachments: Attachments;
}

/** Static clusters on Kubernetes that many share: deployed, brought up to date, exported, deleted. */
export class DeployCommands implements vscode.Disposable {
  readonly #options: DeployCommandsOptions;
  readonly #texts = new TextDocuments('flow-clusters-deployment', '# Deploy it again to see what changes.\n');

  constructor(options: DeployCommandsOptions) {
    this.#options = options;
  }

  dispose(): void {
    this.#texts.dispose();
  }

  /** Has a static cluster be as an executor says: the row's, or one that the user picks. Shows first what that takes. */
  async deploy(node?: Pick<TreeNode, 'key'>): Promise<void> {
    requireTrust();
    const { store, deployments } = this.#options;
    const executor = await pickKubernetesExecutor(
      store.snapshot,
      node?.key,
      'Deploy a cluster by which executor?',
    );
    const name = executor && (await askName(executor));
    if (!executor || name === undefined) return;
    const title = `Deploy ${name}`;
    const now = await withLateProgress(title, (signal, stage) => {
      stage('asking Kubernetes');
      return deployments.options(executor, name, signal);
    });
    const options = await askOptions(now ?? { networkPolicy: true, dashboard: false });
    if (!options) return;
    const planned = await withLateProgress(title, (signal, stage) => {
      stage('having Kubernetes try it out');
      return deployments.plan(executor, name, options, signal);
    });
    const { plan } = planned;
    if (plan.changes.length === 0) {
      vscode.window.setStatusBarMessage(`${name} is as ${executor.name} says: nothing to change`, 8000);
    } else {
      if (!(await (plan.isNew ? this.#confirmNew(planned) : this.#confirmUpdate(planned)))) return;
      const carryOut = (signal: AbortSignal, stage: (text: string) => void) =>
        planned.carryOut({ signal, stage });
      await withLateProgress(title, carryOut, { takesBack: true });
      vscode.window.setStatusBarMessage(`${name} is ${plan.isNew ? 'deployed' : 'brought up to date'}`, 8000);
    }
    await this.#attach(executor, planned);
  }

  /** Deletes a static cluster with all that belongs to it: the row's, that of an error, or one that the user picks. */
  async undeploy(of?: TreeNode | { readonly pods: PodScheduler }): Promise<void> {
    requireTrust();
    const { store, deployments, attachments } = this.#options;
    const pods = of && ('pods' in of ? of.pods : store.snapshot.clusters.get(of.key)?.pods);
    const target = pods ? placeOf(pods) : await this.#pickDeployed();
    if (!target) return;
    const { choice, name } = target;
    const title = `Delete ${name}`;
    const { objects, place, deployer, remove } = await withLateProgress(title, (signal, stage) => {
      stage('asking Kubernetes');
      return deployments.found(choice, name, signal);
    });
    if (objects.length === 0)
      throw new UserError('unreachable', `There is no ${name} in ${place.namespace} any more`);
    const detail = [
      ...(deployer === undefined ? [] : [`${deployer} has deployed it.`, '']),
      'Whoever uses it loses what runs there, and its results. This goes:',
      '',
      ...linesOf(objects),
    ].join('\n');
    const yes = 'Delete';
    const question = `Delete ${name} from ${place.namespace} of ${place.context}?`;
    if ((await vscode.window.showWarningMessage(question, { modal: true, detail }, yes)) !== yes) return;
    const isGone = await withLateProgress(title, (signal, stage) => {
      stage('waiting for the end of its pods');
      return remove(signal);
    }).then(
      () => true,
      (error: unknown) => {
        if (error instanceof UserError && error.reason === 'cancelled') return false;
        throw error;
      },
    );
    const key = podKey({ ...deployedScheduler(place, undefined, name) });
    for (const { id, pods: of, ownership } of [...store.snapshot.clusters.values()]) {
      if (ownership === 'attached' && of && podKey(of) === key) await attachments.detach(id);
    }
    const told = isGone
      ? `${name} is deleted, and ${plural(objects.length, 'object')} with it`
      : `${name} is being deleted: Kubernetes goes on with it by itself`;
    vscode.window.setStatusBarMessage(told, 8000);
  }

  /** Writes down, for those who keep files, what an executor says: the row's, or one that the user picks. */
  async export(node?: Pick<TreeNode, 'key'>): Promise<void> {
    requireTrust();
    const { store, deployments } = this.#options;
    const executor = await pickKubernetesExecutor(store.snapshot, node?.key, 'Export which executor?');
    const name = executor && (await askName(executor));
    if (!executor || name === undefined) return;
    const items = Object.entries(exportForms).map(([form, label]) => ({ label, form: form as ExportForm }));
    const form = (await vscode.window.showQuickPick(items, { title: `Export ${name} as…` }))?.form;
    if (!form) return;
    const isFolder = form === 'kustomize';
    const options = isFolder ? await askOptions({ networkPolicy: true, dashboard: false }) : noOptions;
    if (!options) return;
    const exported = await deployments.export(executor, name, options, form);
    if (isFolder) await writeFolder(name, exported);
    else {
      const { language, files } = exported;
      const [content = ''] = files.values();
      await vscode.window.showTextDocument(await vscode.workspace.openTextDocument({ content, language }));
    }
  }

  /** True when it is to be made. */
  async #confirmNew({ plan, place, after, deployer }: PlannedDeployment): Promise<boolean> {
    const { name, executor } = plan.shape;
    const objects = plan.changes.map(({ object }) => object);
    const { adapt_kwargs, service_account } = executor;
    const account = namesOf(name).adaptive;
    const notes = [
      ...(deployer === undefined ? [] : [`There are parts of it already, of ${deployer}.`]),
      ...(adapt_kwargs && service_account !== undefined
        ? [
            `Its scheduler runs as ${account}, by which it sets the number of workers; ${service_account} is for these.`,
          ]
        : []),
    ];
    const life = 'This is made, of stock Dask, and lives without this window:';
    const detail = [describeExecutor(executor), ...notes, '', life, ...linesOf(objects)].join('\n');
    const [yes, show] = ['Deploy', 'Show Manifests'];
    const question = `Deploy ${name} to ${place.namespace} of ${place.context}?`;
    const chosen = await vscode.window.showInformationMessage(question, { modal: true, detail }, yes, show);
    if (chosen !== show) return chosen === yes;
    const uri = this.#texts.put(`/${place.namespace}/${name}.yaml`, after);
    await vscode.window.showTextDocument(uri, { preview: false });
    return (await vscode.window.showInformationMessage(question, yes, 'Cancel')) === yes;
  }

  /** Shows what changes; true when it is to be done. */
  async #confirmUpdate({ plan, place, before, after, deployer }: PlannedDeployment): Promise<boolean> {
    const { name } = plan.shape;
    const path = `/${place.namespace}/${name}`;
    const [now, then] = [
      this.#texts.put(`${path}/now.yaml`, before),
      this.#texts.put(`${path}/then.yaml`, after),
    ];
    await vscode.commands.executeCommand('vscode.diff', now, then, `${name}: now ↔ then`, { preview: false });
    const warnings = warningsOf(plan);
    const parts = [
      `Update ${name} in ${place.namespace}? ${plural(plan.changes.length, 'object')} ${plan.changes.length === 1 ? 'changes' : 'change'}.`,
      ...(deployer === undefined ? [] : [`${deployer} has deployed it.`]),
      ...warnings,
    ];
    const yes = 'Update';
    const { showInformationMessage, showWarningMessage } = vscode.window;
    const ask = warnings.length > 0 || deployer !== undefined ? showWarningMessage : showInformationMessage;
    return (await ask(parts.join(' '), yes, 'Cancel')) === yes;
  }

  /** Unless it is attached already, with the certificates that it has. */
  async #attach(executor: KubernetesExecutor, { plan, place }: PlannedDeployment): Promise<void> {
    const { store, attach } = this.#options;
    const pods = deployedScheduler(place, executor.kubeconfig, plan.shape.name);
    const row = [...store.snapshot.clusters.values()].find(
      (one) => one.ownership === 'attached' && one.pods && podKey(one.pods) === podKey(pods),
    );
    if (!row || plan.renewsCertificates) await attach.attachPods(pods);
  }

  async #pickDeployed(): Promise<{ choice: ApiChoice; name: string } | undefined> {
    const { store, deployments } = this.#options;
    const title = 'Delete a cluster where which executor has its pods?';
    const executor = await pickKubernetesExecutor(store.snapshot, undefined, title);
    if (!executor) return undefined;
    const names = await withLateProgress('Looking for clusters', (signal, stage) => {
      stage('asking Kubernetes');
      return deployments.names(executor, signal);
    });
    if (names.length === 0)
      throw new UserError('unreachable', `No cluster is deployed where ${executor.name} has its pods`);
    const name = await vscode.window.showQuickPick(names, { title: 'Delete which cluster?' });
    return name === undefined ? undefined : { choice: executor, name };
  }
}

const noOptions: DeploymentOptions = { networkPolicy: false, dashboard: false };

const placeOf = ({ context, kubeconfig, namespace, name }: PodScheduler) => ({
  choice: { context, kubeconfig, namespace },
  name,
});

const linesOf = (objects: readonly ObjectName[]) => objects.map(({ kind, name }) => `• ${kind} ${name}`);

async function askName(executor: KubernetesExecutor): Promise<string | undefined> {
  const name = await vscode.window.showInputBox({
    title: 'Name of the static cluster',
    prompt: 'What Kubernetes calls its objects after. One of that name is brought up to date',
    value: nameFrom(executor.name),
    validateInput: (text) => nameProblem(text.trim()),
  });
  return name?.trim();
}

/** @param now what is chosen already */
async function askOptions(now: DeploymentOptions): Promise<DeploymentOptions | undefined> {
  const policy = {
    label: 'Network policy',
    detail: 'Only its own pods reach its workers, and only pods of its namespace its scheduler',
    picked: now.networkPolicy,
  };
  const dashboard = {
    label: 'Dashboard for other pods',
    detail: 'It has no TLS and asks for no login. It opens from here without that, too',
    picked: now.dashboard,
  };
  const chosen = await vscode.window.showQuickPick([policy, dashboard], {
    canPickMany: true,
    title: 'What else shall it have?',
  });
  return chosen && { networkPolicy: chosen.includes(policy), dashboard: chosen.includes(dashboard) };
}

/** Into a folder of the cluster's name; what is in it already is overwritten only when the user says so. */
async function writeFolder(name: string, { files }: Exported): Promise<void> {
  const [place] =
    (await vscode.window.showOpenDialog({
      ...{ canSelectFiles: false, canSelectFolders: true, openLabel: 'Export Here' },
      title: `Where shall the folder ${name} be?`,
      defaultUri: vscode.workspace.workspaceFolders?.[0]?.uri,
    })) ?? [];
  if (!place) return;
  const folder = vscode.Uri.joinPath(place, name);
  const isThere = await vscode.workspace.fs.stat(folder).then(
    () => true,
    () => false,
  );
  const yes = 'Overwrite';
  const question = `There is a ${name} already. Overwrite its files of the same names?`;
  if (isThere && (await vscode.window.showWarningMessage(question, { modal: true }, yes)) !== yes) return;
  const encoder = new TextEncoder();
  for (const [file, text] of files) {
    await vscode.workspace.fs.writeFile(vscode.Uri.joinPath(folder, file), encoder.encode(text));
  }
  await vscode.window.showTextDocument(vscode.Uri.joinPath(folder, 'kustomization.yaml'));
}
