"""The XML of a label config as a tree: bounded in size and depth, without document types and entities."""

from xml.etree.ElementTree import Element, ParseError, TreeBuilder

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import DefusedXMLParser

MAX_CHARACTERS = 1_000_000  # a config with all 133 keypoints has about 10,000
MAX_TAGS = 20_000
MAX_DEPTH = 100


class LabelConfigError(ValueError):
    """The label config is invalid; the message says why and can be shown to the user."""


class _BoundedTreeBuilder(TreeBuilder):
    """Builds the tree, and raises if it is deeper or larger than any real label config."""

    def __init__(self) -> None:
        super().__init__()
        self._depth = 0
        self._tags = 0

    def start(self, tag: str, attrs: dict[str, str], /) -> Element:
        self._depth += 1
        self._tags += 1
        if self._depth > MAX_DEPTH:
            raise LabelConfigError(f"The label config nests tags more than {MAX_DEPTH} deep. Flatten it.")
        if self._tags > MAX_TAGS:
            raise LabelConfigError(f"The label config has more than {MAX_TAGS:,} tags. Shorten it.")
        return super().start(tag, attrs)

    def end(self, tag: str, /) -> Element:
        self._depth -= 1
        return super().end(tag)


def label_config_tree(xml: str) -> Element:
    """Parse a label config that may be hostile.

    Raises:
        LabelConfigError: The text is empty, not XML, declares a document type or entities, or is too large.
    """
    if not xml.strip():
        raise LabelConfigError(
            "The label config is empty. Create one in the project under Settings > Labeling Interface."
        )
    if len(xml) > MAX_CHARACTERS:
        raise LabelConfigError(
            f"The label config has {len(xml):,} characters; the limit is {MAX_CHARACTERS:,}. Shorten it."
        )
    parser = DefusedXMLParser(target=_BoundedTreeBuilder(), forbid_dtd=True)
    try:
        parser.feed(xml)
        tree: Element = parser.close()
    except ParseError as error:
        raise LabelConfigError(f"The label config is not well-formed XML: {error}.") from error
    except DefusedXmlException as error:
        raise LabelConfigError(
            "The label config declares a document type or entities, which are not allowed. Remove them."
        ) from error
    except UnicodeError as error:
        raise LabelConfigError("The label config contains invalid characters. Remove them.") from error
    return tree
