"""The Sample Data module as seen by a module that adds to it."""

# mypy: ignore-errors

from types import ModuleType

import slicer


class SampleDataSource:
    def __init__(self, sampleName=None, sampleDescription=None, uris=None, fileNames=None, nodeNames=None,
                 checksums=None, loadFiles=None, customDownloader=None, thumbnailFileName=None, loadFileType=None,
                 loadFileProperties=None, **_) -> None:  # fmt: skip
        self.sampleName = sampleName
        self.sampleDescription = sampleDescription or sampleName
        self.uris, self.fileNames, self.nodeNames = uris, fileNames, nodeNames
        self.checksums, self.loadFiles, self.loadFileType = checksums, loadFiles, loadFileType
        self.loadFileProperties = loadFileProperties or {}
        self.customDownloader = customDownloader
        self.thumbnailFileName = thumbnailFileName


class SampleDataLogic:
    @staticmethod
    def registerCustomSampleDataSource(category="Custom", **options) -> None:
        SampleDataLogic.sources().setdefault(category, []).append(SampleDataSource(**options))

    @staticmethod
    def sources() -> dict:
        if not hasattr(slicer.modules, "sampleDataSources"):
            slicer.modules.sampleDataSources = {}
        return slicer.modules.sampleDataSources

    def sourceForSampleName(self, sampleName):
        return next((s for group in self.sources().values() for s in group if s.sampleName == sampleName), None)

    def downloadSamples(self, sampleName):
        source = self.sourceForSampleName(sampleName)
        return self.downloadFromSource(source) if source is not None else None

    def downloadSample(self, sampleName):
        return self.downloadSamples(sampleName)[0]

    def downloadFromSource(self, source):
        raise NotImplementedError(
            "Slicer's logic downloads what has an address and ignores a customDownloader, which its panel alone calls; "
            "this host downloads nothing"
        )


def sample_data_module() -> ModuleType:
    module = ModuleType("SampleData")
    module.SampleDataLogic = SampleDataLogic
    module.SampleDataSource = SampleDataSource
    module.downloadSample = lambda name: SampleDataLogic().downloadSample(name)
    return module
