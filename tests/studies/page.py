"""A report's page, as a browser would read it."""

from html.parser import HTMLParser


class Page(HTMLParser):
    """The links and ids of a page, and what it would load."""

    def __init__(self, text):
        super().__init__()
        self.links, self.all_ids, self.loaded = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        self.links += [found["href"]] if "href" in found else []
        self.loaded += [found["src"]] if "src" in found else []
        self.all_ids += [found["id"]] if "id" in found else []

    @property
    def ids(self):
        return set(self.all_ids)
