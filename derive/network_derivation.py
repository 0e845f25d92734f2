"""What a network spec leads to: its derivation, and the views of it as module and as pages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from derive.code.scheduling import Schedule
from derive.collector import deferred
from derive.language.notation import Program
from derive.modules import network_module, network_summary, workspaces
from derive.modules.kernels import Kernel
from derive.networks.network_parts import Network
from derive.networks.passes import Derivatives
from derive.networks.spec import Spec
from derive.networks.supplements import Supplement
from derive.networks.updates import Update
from derive.numerics.stability import stabilize
from derive.pages import network_sections, supplement_sections
from derive.pages.chains import Chains
from derive.pages.document import Document
from derive.pages.exposition import as_computed, document
from derive.pages.graph import Graph, of_network
from derive.pages.html_page import html
from derive.pages.latex_document import latex
from derive.pages.markdown import markdown
from derive.pages.picture import picture


@dataclass(frozen=True)
class NetworkDerivation:
    """A network and all that was derived of it.

    `update` is the optimizer's step, `beside` what the module computes besides these two; their
    numbers go on from those of the derivation.
    """

    spec: Spec
    network: Network
    derivatives: Derivatives
    update: Update
    beside: Mapping[str, Supplement]

    @cached_property
    def training(self) -> tuple[Kernel, Schedule]:
        """The workspace of a training step and its schedule."""
        return workspaces.training(
            self.derivatives, self.network, self.spec.accuracy, self.spec.training.batch_size
        )

    @cached_property
    def module(self) -> str:
        """The text of the training module, made once."""
        parts = (self.spec, self.network, self.derivatives, self.update, self.beside)
        return network_module.source(*parts, self.training)

    @cached_property
    def graph(self) -> Graph:
        """The layers, and the equations of each."""
        return of_network(self.spec, self.network, self.derivatives.gradients)

    @cached_property
    def computed(self) -> Program:
        """Value and gradients in the form that is computed, right to the last bits."""
        return stabilize(self.derivatives.gradients.program, self.spec.accuracy)

    @cached_property
    def chains(self) -> Mapping[str, Chains]:
        """The steps of each supplement, by name, and first, under "", those of the derivation."""
        gradients = self.derivatives.gradients
        found = {"": Chains(gradients, as_computed(gradients, self.computed))}
        for name, own in self.beside.items():
            found[name] = Chains(own.gradients, before=tuple(found.values()))
        return found

    @cached_property
    def document(self) -> Document:
        """What the pages say."""
        cost = network_summary.cost(self.spec, self.training[1])
        page, *others = self.chains.values()
        return document(
            page.gradients,
            self.spec.title or self.spec.name,
            {p.tensor: p.name for p in self.network.parameters},
            computed=self.computed,
            before=[network_sections.layers(self.graph, cost)],
            after=[
                network_sections.update(self.update),
                *supplement_sections.sections(self.beside, self.chains),
            ],
            chains=page,
            beside=others,
        )

    @deferred()
    def source(self) -> str:
        """The training module; it needs NumPy alone."""
        return self.module

    def latex(self) -> str:
        """A complete document that pdflatex compiles."""
        return latex(self.document)

    def html(self) -> str:
        """A page that needs no network and no script, the module's code beside the derivation."""
        return html(self.document, self.source(), picture(self.graph))

    def markdown(self) -> str:
        """GitHub-flavored Markdown, its mathematics in fences."""
        return markdown(self.document)

    @deferred()
    def files(self) -> dict[str, str]:
        """The views as files, name to text."""
        name = self.spec.name
        return {
            f"{name}.py": self.source(),
            f"{name}.tex": self.latex(),
            f"{name}.html": self.html(),
            f"{name}.md": self.markdown(),
        }
