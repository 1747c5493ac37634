"""An answer for each RPC of VisionService."""

from __future__ import annotations

from typing import Any

import numpy as np

from standpipe.v1 import common_pb2, vision_pb2

LABELS = common_pb2.LabelScores(
    labels=[common_pb2.LabelScore(label="wet", score=0.75), common_pb2.LabelScore(label="dry", score=0.25)]
)

OBJECTS = vision_pb2.DetectedObjects(
    objects=[
        vision_pb2.DetectedObject(
            label="hose", score=0.75, box=vision_pb2.BoundingBox(xmin=-1, ymin=2, xmax=30, ymax=4)
        )
    ]
)

# Of 3 × 2 pixels: the first column but its top, all of the second one, nothing of the third one.
MASK = vision_pb2.Mask(width=3, height=2, run_lengths=vision_pb2.RunLengths(counts=[1, 3, 2]))

VISION_ANSWERS: dict[str, Any] = {
    "ClassifyImage": vision_pb2.ClassifyImageResponse(results=[LABELS, common_pb2.LabelScores()]),
    "ClassifyImageZeroShot": vision_pb2.ClassifyImageZeroShotResponse(results=[LABELS]),
    "DetectObjects": vision_pb2.DetectObjectsResponse(results=[OBJECTS, vision_pb2.DetectedObjects()]),
    "DetectObjectsZeroShot": vision_pb2.DetectObjectsZeroShotResponse(results=[OBJECTS]),
    "SegmentImage": vision_pb2.SegmentImageResponse(
        results=[
            vision_pb2.Segments(
                segments=[
                    vision_pb2.Segment(label="hose", score=0.0, mask=MASK),
                    vision_pb2.Segment(label="wall", mask=MASK),
                ]
            ),
            vision_pb2.Segments(),
        ]
    ),
    "GenerateMasks": vision_pb2.GenerateMasksResponse(
        results=[
            vision_pb2.GeneratedMasks(masks=[vision_pb2.GeneratedMask(score=1.25, mask=MASK)]),
            vision_pb2.GeneratedMasks(),
        ]
    ),
    "EstimateDepth": vision_pb2.EstimateDepthResponse(
        results=[
            vision_pb2.DepthMap(
                width=3, height=2, float32=np.arange(6, dtype="<f4").tobytes(), min=0.0, max=5.0
            )
        ]
    ),
    "EmbedImage": vision_pb2.EmbedImageResponse(
        packed=np.array([[1, 0], [0.5, 0.25]], "<f4").tobytes(),
        embeddings=[common_pb2.Embedding(values=[1, 0]), common_pb2.Embedding(values=[0.5, 0.25])],
        dimensions=2,
    ),
    "CaptionImage": vision_pb2.CaptionImageResponse(
        results=[vision_pb2.Caption(generated_text="a hose", generated_tokens=3)]
    ),
    "AnswerImageQuestion": vision_pb2.AnswerImageQuestionResponse(
        results=[
            vision_pb2.ImageAnswers(
                answers=[
                    vision_pb2.ImageAnswer(answer="two", score=0.0),
                    vision_pb2.ImageAnswer(answer="a few"),
                ]
            ),
            vision_pb2.ImageAnswers(),
        ]
    ),
    "AnswerDocumentQuestion": vision_pb2.AnswerDocumentQuestionResponse(
        results=[
            vision_pb2.DocumentAnswers(
                answers=[
                    vision_pb2.DocumentAnswer(answer="12 bar", score=0.5, start=0, end=1),
                    vision_pb2.DocumentAnswer(answer="12"),
                ]
            ),
            vision_pb2.DocumentAnswers(),
        ]
    ),
    "MatchKeypoints": vision_pb2.MatchKeypointsResponse(
        results=[
            vision_pb2.KeypointMatches(
                matches=[
                    vision_pb2.KeypointMatch(
                        first=vision_pb2.Keypoint(x=1.5, y=2.0),
                        second=vision_pb2.Keypoint(x=3.0, y=0.25),
                        score=0.5,
                    )
                ]
            ),
            vision_pb2.KeypointMatches(),
        ]
    ),
    "ClassifyVideo": vision_pb2.ClassifyVideoResponse(results=[LABELS]),
}
